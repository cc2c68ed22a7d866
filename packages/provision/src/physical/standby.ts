import { join } from 'node:path'
import { SOCKET_ONLY_PORT } from '../base-steps.ts'
import type { ClusterVolumes } from '../cluster-volumes.ts'
import { isProvisionError, ProvisionError } from '../errors.ts'
import { failPoint } from '../faults/faults.ts'
import { exists } from '../files.ts'
import { clusterControl, clusterMajor } from '../postgres/cluster.ts'
import { sqlState } from '../postgres/connect.ts'
import type { ControlData } from '../postgres/control-file.ts'
import { BOOTSTRAP_OID } from '../postgres/disarm.ts'
import type { PrimaryConnection } from '../postgres/primary.ts'
import type { Instance, RecoveryProgress } from '../postgres/runtime.ts'
import type { Labels, VolumeId } from '../storage/driver.ts'
import { AccountFiles } from './account-files.ts'
import { type Bringing, bringInto, type SourceKnowledge, takeIn } from './arrival.ts'
import { verifyTablespaceLinks } from './links.ts'
import { placesIn } from './places.ts'
import { notBelow, type RestoreCommand, roomForOrigins, shellCommand } from './recovery.ts'
import { type StandbyHealth, type StandbyView, standbyProblem, viewStandby, wordsOf } from './standby-health.ts'

export interface StandbySpec {
  /** Of its volume. */
  volumeId: VolumeId
  primary: PrimaryConnection
  /** The source's bootstrap superuser (oid 10), `postgres` nearly everywhere: what the lab looks at it as, over the socket. */
  superuser: string
  /** A physical slot of the source, which is not made here. Without one the source may throw WAL away that is still wanted. */
  slot?: string | undefined
  /** Fetches WAL that the source has no more. */
  restoreCommand?: RestoreCommand | undefined
  /** Over the lab's, such as `shared_buffers`; those on which the following hangs win over these. */
  settings?: Readonly<Record<string, string>> | undefined
}

export interface StandbyOptions {
  onProgress?: ((progress: RecoveryProgress) => void) | undefined
  signal?: AbortSignal | undefined
}

export interface Tended {
  /** Why it had to be started again, if it had to. */
  restartedAfter: string | undefined
}

/** Tries of a start: each may replay up to where the source has raised its settings, after which the server wants more. */
const MOST_TRIES = 5
const LOG_LINES = 200
const INSUFFICIENT = /insufficient parameter settings/

/** Clusters that follow a source by streaming its WAL. They are never promoted; what is cloned of their snapshots is. */
export class Standbys {
  readonly #volumes: ClusterVolumes
  readonly #files: AccountFiles
  /** When each was last seen to have all that its source had. */
  readonly #caughtUp = new Map<VolumeId, Date>()

  constructor(volumes: ClusterVolumes) {
    this.#volumes = volumes
    this.#files = new AccountFiles(volumes.runtime.account)
  }

  /**
   * A standby of what `bring` puts into a new volume, such as a base backup with its WAL: quarantined like any copy, and following once
   * it is consistent. The volume goes if anything fails.
   */
  async create(
    spec: StandbySpec & SourceKnowledge & { labels?: Labels },
    steps: Bringing & StandbyOptions,
  ): Promise<void> {
    await using undo = new AsyncDisposableStack()
    const volume = await this.#volumes.storage.createVolume(spec.volumeId, spec.labels)
    undo.defer(() => this.#volumes.destroy(spec.volumeId))
    await failPoint('standby.volume-made')
    const places = placesIn(volume)
    await bringInto(places, this.#files, steps)
    await failPoint('standby.brought')
    await takeIn(places, this.#volumes, this.#files, spec.settingsOfSource)
    await this.#files.write(signalFile(places.dataDir), '')
    await failPoint('standby.quarantined')
    await this.start(spec, steps)
    await failPoint('standby.started')
    undo.move()
  }

  /**
   * Starts it again, after a reboot or an end, with what its source's settings are by now.
   * @throws ProvisionError FAILED for data that is no standby's any more; INVALID where `superuser` is another role, or the source has made a
   * tablespace outside of the volume
   */
  async start(spec: StandbySpec, { onProgress, signal }: StandbyOptions = {}): Promise<Instance> {
    const { runtime, deadlines } = this.#volumes
    const dataDir = await this.#volumes.dataDir(spec.volumeId)
    await this.#assertStandby(dataDir)
    await verifyTablespaceLinks({ dataDir })
    for (let tries = 1; ; tries++) {
      const control = await clusterControl(dataDir)
      try {
        const instance = await this.#volumes.noticingSpace(spec.volumeId, async () =>
          runtime.start(
            {
              ...{ id: spec.volumeId, dataDir, host: '', port: SOCKET_ONLY_PORT, users: [] },
              ...{ primary: spec.primary, superuser: spec.superuser, database: 'template1' },
              settings: await this.#settings(spec, dataDir, control),
            },
            { signal, stallMs: deadlines.recoveryMs, onProgress },
          ),
        )
        await this.#verify(spec, instance, signal)
        return instance
      } catch (error) {
        if (sqlState(error) === NO_SUCH_ROLE) throw notTheSuperuser(error)
        // It has noted what it wants by then (xlog.c, XLOG_PARAMETER_CHANGE).
        const wantsMore = isProvisionError(error, 'FAILED') && INSUFFICIENT.test(error.message)
        if (!wantsMore || tries === MOST_TRIES) throw error
      }
    }
  }

  /** How it follows. @throws ProvisionError NOT_FOUND where none runs; UNAVAILABLE where it does not answer */
  async health(spec: StandbySpec, signal?: AbortSignal): Promise<StandbyHealth> {
    const instance = await this.#volumes.runtime.inspect(spec.volumeId)
    if (instance?.state !== 'running')
      throw new ProvisionError('NOT_FOUND', `no standby runs on volume ${spec.volumeId}`, { hint: 'Start it again.' })
    return this.#toHealth(spec, await viewStandby(instance, spec.superuser, signal))
  }

  /**
   * One look at it, that does what it needs: it is started where it has ended, and again where its source has raised settings, at which it
   * pauses for want of as much (manual, "Hot Standby", "Administrator's Overview"). To be called now and then, by one caller at a time.
   *
   * @throws ProvisionError as `start` and `health`
   */
  async tend(spec: StandbySpec, options: StandbyOptions = {}): Promise<StandbyHealth & Tended> {
    const { runtime } = this.#volumes
    const found = await runtime.inspect(spec.volumeId)
    const isRunning = found?.state === 'running'
    const words = isRunning ? undefined : wordsOf((await runtime.logs(spec.volumeId, LOG_LINES)).at(-1) ?? '')
    const instance = isRunning ? found : await this.start(spec, options)
    await this.#keepInside(instance)
    const view = await viewStandby(instance, spec.superuser, options.signal)
    if (!view.isPaused) return { ...(await this.#toHealth(spec, view)), restartedAfter: words }
    await runtime.stop(spec.volumeId, 'clean')
    const again = await this.start(spec, options)
    const health = await this.#toHealth(spec, await viewStandby(again, spec.superuser, options.signal))
    return { ...health, restartedAfter: 'its source has raised settings, of which it needs as much' }
  }

  /**
   * A state of it that nobody should clone but `adoptSnapshot`. It goes on following; where the driver's snapshots are not atomic, it is
   * stopped for the copy and started again, and catches up then.
   */
  async snapshot(spec: StandbySpec, snapshotId: string, labels?: Labels): Promise<void> {
    const { storage, runtime } = this.#volumes
    await failPoint('standby.snapshot-begun')
    if (storage.capabilities.atomicSnapshot) {
      await storage.snapshot(spec.volumeId, snapshotId, labels)
      return
    }
    await using undo = new AsyncDisposableStack()
    try {
      await runtime.stop(spec.volumeId, 'clean')
      await storage.snapshot(spec.volumeId, snapshotId, labels)
      undo.defer(() => storage.destroySnapshot({ volumeId: spec.volumeId, snapshotId }))
    } finally {
      await this.start(spec)
    }
    undo.move()
  }

  /** What would start as a server of its own, and so on a timeline of its own, is never started as one. */
  async #assertStandby(dataDir: string): Promise<void> {
    if (await exists(signalFile(dataDir))) return
    const { state } = await clusterControl(dataDir)
    if (state !== 'in archive recovery' && state !== 'shut down in recovery') {
      throw new ProvisionError('FAILED', "the data of the standby is no standby's any more, so it can't follow", {
        hint: 'Make a new one from a new copy of the source.',
      })
    }
    await this.#files.write(signalFile(dataDir), '')
  }

  async #verify(spec: StandbySpec, instance: Instance, signal: AbortSignal | undefined): Promise<void> {
    try {
      const { superuserOid, isInRecovery } = await viewStandby(instance, spec.superuser, signal)
      if (superuserOid !== BOOTSTRAP_OID) throw notTheSuperuser()
      if (!isInRecovery) throw new ProvisionError('FAILED', 'the standby has ended to follow, as a server of its own')
    } catch (error) {
      await this.#volumes.runtime.stop(spec.volumeId, 'immediate')
      throw error
    }
    await this.#keepInside(instance)
  }

  /** A tablespace that the source makes is made here at the same path, and would be written into. */
  async #keepInside({ id, dataDir }: Instance): Promise<void> {
    try {
      await verifyTablespaceLinks({ dataDir })
    } catch (error) {
      await this.#volumes.runtime.stop(id, 'immediate')
      throw error
    }
  }

  async #toHealth({ volumeId: id, restoreCommand }: StandbySpec, view: StandbyView): Promise<StandbyHealth> {
    const { isReceiving, replayedLsn, timeline, lagBytes, replayedCommitAt, hasAllOf, at } = view
    if (hasAllOf) this.#caughtUp.set(id, hasAllOf)
    const caughtUpAt = this.#caughtUp.get(id)
    const known = [caughtUpAt, replayedCommitAt].filter((time) => time !== undefined)
    const since = known.length === 0 ? undefined : Math.max(...known.map(Number))
    const lagSeconds = hasAllOf ? 0 : since === undefined ? undefined : Math.max(Number(at) - since, 0) / 1000
    const log = isReceiving ? [] : await this.#volumes.runtime.logs(id, LOG_LINES)
    return {
      ...{ isReceiving, replayedLsn, timeline, lagBytes, lagSeconds, replayedCommitAt, caughtUpAt },
      ...(isReceiving ? { problem: undefined, isLost: false } : standbyProblem(log, restoreCommand !== undefined)),
    }
  }

  async #settings(spec: StandbySpec, dataDir: string, control: ControlData): Promise<Record<string, string>> {
    const own = {
      ...(await this.#volumes.settingsOf(dataDir)),
      // One for all clones, and the pages that it changes are read again and again.
      shared_buffers: '256MB',
      ...spec.settings,
      hot_standby: 'on',
      // The source's vacuum is never held back by what the lab reads here.
      hot_standby_feedback: 'off',
      // Nor is the replay, for longer than a look takes.
      max_standby_streaming_delay: '1s',
      max_standby_archive_delay: '1s',
      wal_level: 'replica',
      recovery_target_timeline: 'latest',
      primary_slot_name: spec.slot ?? '',
      restore_command: spec.restoreCommand ? shellCommand(spec.restoreCommand, dataDir) : '',
      wal_retrieve_retry_interval: '1s',
      // At half of it a source that is silent is asked whether it is there, and tells how far it is.
      wal_receiver_timeout: '10s',
      fsync: 'on',
      shared_preload_libraries: '',
      session_preload_libraries: '',
      log_min_messages: 'warning',
      ...roomForOrigins(await clusterMajor(dataDir)),
    }
    return notBelow(control.settings, own)
  }
}

function signalFile(dataDir: string): string {
  return join(dataDir, 'standby.signal')
}

/** https://www.postgresql.org/docs/current/errcodes-appendix.html: invalid_authorization_specification */
const NO_SUCH_ROLE = '28000'

function notTheSuperuser(cause?: unknown): ProvisionError {
  return new ProvisionError(
    'INVALID',
    'the role that the lab is to look at the standby as is not its bootstrap superuser',
    {
      hint: 'On the source, this tells its name: select rolname from pg_roles where oid = 10',
      cause,
    },
  )
}
