import type { RetrievalStandby, Warning } from '@dblab/models'
import {
  failPoint,
  isProvisionError,
  type Places,
  type PrimaryConnection,
  ProvisionError,
  type Provisioner,
  type SnapshotRef,
  type StandbyHealth,
  type StandbySpec,
} from '@dblab/provision'
import pLimit from 'p-limit'
import type { Catalogue } from '../../catalogue/catalogue.ts'
import { refOf } from '../../catalogue/snapshots.ts'
import type { VolumeRecord } from '../../catalogue/volumes.ts'
import { explainFailure } from '../../cloning/explain.ts'
import { randomId } from '../../ids.ts'
import { snapshotLabels } from '../../labels.ts'
import type { Logger } from '../../log.ts'
import { InterruptedError } from '../interrupted.ts'
import type { Reporter, StandbySnapshot } from '../source.ts'

export interface FollowerOptions {
  catalogue: Catalogue
  provisioner: Provisioner
  log: Logger
  /** Where the source is, without secrets: a standby of another one is not followed on. */
  source: string
  primary: () => Promise<PrimaryConnection>
  /** A physical slot of the source's, which its administrator has made; undefined for none. */
  slot: string | undefined
  /** Fetches WAL that the source has no more, as an argument list. */
  restoreCommand: readonly string[] | undefined
  collectGarbage: () => Promise<void>
}

/** What a new standby is made of. */
export interface FirstCopy {
  superuser: string
  settingsOfSource: Readonly<Record<string, string>>
  copy: (places: Places) => Promise<void>
}

/** How long a standby that has just been started may take until it receives. */
const RECEIVES_WITHIN_MS = 60_000
const LOOK_EVERY_MS = 200
/** A standby that receives nothing for so long is a reason for WARNING. */
const PATIENCE_MS = 60_000

/** Keeps one standby of a source in the lab, which follows it while nobody asks for anything. */
export class Follower {
  readonly #options: FollowerOptions
  /** A standby is looked at, started and snapshotted by one at a time. */
  readonly #turn = pLimit(1)
  #health: (StandbyHealth & { at: Date }) | undefined
  #failure: string | undefined
  #brokenSince: number | undefined

  constructor(options: FollowerOptions) {
    this.#options = options
  }

  /** What it follows. */
  get source(): string {
    return this.#options.source
  }

  /** One look at the standby, if there is one: it is started where it does not run. For the background. */
  async tend(signal: AbortSignal): Promise<void> {
    await this.#turn(async () => {
      try {
        const spec = await this.#spec()
        if (!spec) return
        const { restartedAfter, ...health } = await this.#options.provisioner.standbys.tend(spec, { signal })
        if (restartedAfter !== undefined)
          this.#options.log.warn('the standby was started again', { after: restartedAfter })
        this.#note(health)
      } catch (error) {
        if (signal.aborted) return
        this.#fail(explainFailure(error), error)
      }
    })
  }

  view(): RetrievalStandby | undefined {
    const { volumes } = this.#options.catalogue
    if (!volumes.standby()) return undefined
    const health = this.#health
    const isFresh = health !== undefined && Date.now() - health.at.getTime() < PATIENCE_MS
    const isFollowing = isFresh && this.#failure === undefined && health.isReceiving
    return {
      status: isFollowing
        ? { code: 'FOLLOWING', message: 'The standby follows its source' }
        : { code: 'BROKEN', message: this.#failure ?? health?.problem ?? 'The standby was not looked at yet' },
      lagSeconds: health?.lagSeconds ?? 0,
      lagBytes: health?.lagBytes ?? 0,
      replayedLsn: health?.replayedLsn ?? '',
      caughtUpAt: health?.caughtUpAt?.toISOString() ?? '',
      updatedAt: health?.at.toISOString() ?? '',
    }
  }

  warnings(now = Date.now()): Warning[] {
    const view = this.view()
    if (view?.status.code !== 'BROKEN' || now - (this.#brokenSince ?? now) < PATIENCE_MS) return []
    return [
      {
        code: 'STANDBY_NOT_FOLLOWING',
        message: 'The standby does not follow its source',
        hint: 'GET /retrieval says why. It goes on by itself once it can. Where the source has thrown away what it needs, the next refresh copies the source anew',
      },
    ]
  }

  /**
   * A snapshot of the standby, in the catalogue as nobody's to clone. The standby is made first where there is none, and anew where it can't follow any
   * more; it goes on following.
   *
   * @throws InterruptedError where it does not receive anything; ProvisionError
   */
  async snapshot(first: FirstCopy, reporter: Reporter): Promise<StandbySnapshot> {
    return this.#turn(async () => {
      const spec = await this.#ready(first, reporter)
      const health = await this.#untilReceiving(spec, reporter)
      return { ref: await this.#take(spec), caughtUpAt: health.caughtUpAt }
    })
  }

  /** It goes with the base that stands on it. */
  release({ snapshotId }: SnapshotRef): void {
    const { catalogue } = this.#options
    catalogue.evenIfFull(() => catalogue.snapshots.setState(snapshotId, 'retired'))
  }

  async #ready(first: FirstCopy, reporter: Reporter): Promise<StandbySpec> {
    const spec = await this.#spec()
    if (spec) {
      const why = await this.#whyLost(spec, reporter)
      if (why === undefined) return spec
      reporter.warn(`the source is copied anew: ${why}`)
      await retireStandby(spec.volumeId, this.#options)
    }
    return this.#create(first, reporter)
  }

  /** Why the standby can't go on, whatever is tried. */
  async #whyLost(spec: StandbySpec, { signal }: Reporter): Promise<string | undefined> {
    try {
      const { isLost, problem } = await this.#options.provisioner.standbys.tend(spec, { signal })
      return isLost ? (problem ?? 'it has no more of what the standby still needs') : undefined
    } catch (error) {
      if (!isProvisionError(error, 'INVALID', 'FAILED')) throw error
      return error.message
    }
  }

  async #create({ superuser, settingsOfSource, copy }: FirstCopy, reporter: Reporter): Promise<StandbySpec> {
    const { catalogue, provisioner, source } = this.#options
    const volumeId = randomId()
    catalogue.volumes.add(volumeId, 'standby')
    try {
      const spec = await this.#specOf(volumeId, superuser)
      await provisioner.standbys.create(
        { ...spec, settingsOfSource, labels: { role: 'standby', state: 'pending' } },
        {
          bring: async (places) => {
            reporter.progress({ step: 'COPY' })
            await copy(places)
            reporter.progress({ step: 'RECOVER' })
          },
          onProgress: () => reporter.progress({ step: 'RECOVER' }),
          signal: reporter.signal,
        },
      )
      await failPoint('retrieval.standby-made')
      catalogue.volumes.setFollowing(volumeId, { source, superuser })
      reporter.info('the standby follows its source from here on')
      return spec
    } catch (error) {
      catalogue.evenIfFull(() => catalogue.volumes.setState(volumeId, 'retired'))
      throw error
    }
  }

  async #untilReceiving(spec: StandbySpec, reporter: Reporter): Promise<StandbyHealth> {
    reporter.progress({ step: 'RECOVER' })
    const deadline = Date.now() + RECEIVES_WITHIN_MS
    for (;;) {
      const health = await this.#options.provisioner.standbys.tend(spec, { signal: reporter.signal })
      this.#note(health)
      if (health.isReceiving && health.caughtUpAt !== undefined) return health
      if (Date.now() > deadline) {
        throw new InterruptedError(
          `the standby receives nothing from its source: ${health.problem ?? 'it is silent'}`,
          {
            hint: 'See GET /retrieval and the log of the source; what stands still is not published as new.',
          },
        )
      }
      await pause(reporter.signal)
    }
  }

  async #take(spec: StandbySpec): Promise<SnapshotRef> {
    const { catalogue, provisioner } = this.#options
    const id = `standby-${randomId()}`
    const none = {
      size: 0,
      cloneId: '',
      tokenId: null,
      sample: false,
      message: '',
      protected: false,
      maskVersion: '',
      hasPlanSettings: false,
    }
    const now = new Date().toISOString()
    const data = { database: 'template1', databases: [], postgresVersion: 0, superuser: spec.superuser }
    const record = { ...none, ...data, id, volumeId: spec.volumeId, published: false, timestamp: now, createdAt: now }
    catalogue.snapshots.add(record)
    try {
      await failPoint('retrieval.standby-snapshot-noted')
      await provisioner.standbys.snapshot(spec, id, snapshotLabels('internal', record))
      catalogue.snapshots.setLive(id, { database: data.database, databases: [], size: 0 })
      return refOf({ ...record, state: 'live' })
    } catch (error) {
      catalogue.evenIfFull(() => catalogue.snapshots.setState(id, 'retired'))
      throw error
    }
  }

  async #spec(): Promise<StandbySpec | undefined> {
    const volume: VolumeRecord | undefined = this.#options.catalogue.volumes.standby()
    return volume?.standby ? this.#specOf(volume.id, volume.standby.superuser) : undefined
  }

  async #specOf(volumeId: string, superuser: string): Promise<StandbySpec> {
    const { primary, slot, restoreCommand } = this.#options
    return { volumeId, superuser, primary: await primary(), slot, restoreCommand }
  }

  #note(health: StandbyHealth): void {
    const wasBroken = this.view()?.status.code === 'BROKEN'
    this.#health = { ...health, at: new Date() }
    this.#failure = undefined
    const { log } = this.#options
    if (health.isReceiving) {
      if (wasBroken) log.info('the standby follows its source', { lagBytes: health.lagBytes })
      this.#brokenSince = undefined
    } else if (this.#brokenSince === undefined) {
      this.#brokenSince = Date.now()
      log.warn('the standby receives nothing from its source', { problem: health.problem })
    }
  }

  #fail(reason: string, error: unknown): void {
    if (this.#failure !== reason) this.#options.log.error('the standby can not follow its source', { reason, error })
    this.#failure = reason
    this.#brokenSince ??= Date.now()
  }
}

/** Nothing follows any more when this resolves. Its data goes with the last generation that stands on it. */
export async function retireStandby(
  volumeId: string,
  { catalogue, provisioner, collectGarbage }: Pick<FollowerOptions, 'catalogue' | 'provisioner' | 'collectGarbage'>,
): Promise<void> {
  catalogue.evenIfFull(() => catalogue.volumes.setState(volumeId, 'retired'))
  await provisioner.runtime.remove(volumeId)
  await collectGarbage()
}

async function pause(signal: AbortSignal): Promise<void> {
  await new Promise<void>((resolve) => setTimeout(resolve, LOOK_EVERY_MS))
  if (signal.aborted) throw new ProvisionError('ABORTED', 'the standby was not waited for any longer')
}
