import { setTimeout as delay } from 'node:timers/promises'
import type { Retrieval, RetrievalRun, RetrievalStatus, RetrievalTrigger, Warning } from '@dblab/models'
import { isProvisionError, ProvisionError } from '@dblab/provision'
import type { Catalogue } from '../catalogue/catalogue.ts'
import { firstCause } from '../cloning/explain.ts'
import { LabError } from '../errors.ts'
import type { Logger } from '../log.ts'
import { isUnmasked } from '../snapshots/choose.ts'
import { InterruptedError } from './interrupted.ts'
import type { Follower } from './physical/follower.ts'
import { toFailure } from './runs/failure.ts'
import { RunRecorder } from './runs/run-recorder.ts'
import type { CheckedSource, Reporter, Source } from './source.ts'
import { checkAll } from './sources.ts'

export interface RetrievalServiceOptions {
  catalogue: Catalogue
  log: Logger
  sources: readonly Source[]
  /** Makes a generation of what was checked; resolves to its snapshot's id. See `makeGeneration`. */
  generate: (source: CheckedSource, reporter: Reporter, onPublished: (snapshotId: string) => void) => Promise<string>
  /** How often a run begins again whose source was lost, and how long it waits before the second attempt; twice as long before each further one. */
  attempts: { max: number; firstPauseMs: number }
  /** Masking is configured: data that was not masked is a reason for WARNING. */
  requireMasked: boolean
  /** Data that is older is a reason for WARNING; undefined for none. */
  maxAgeMs: number | undefined
  /** LabError when the catalogue is lost. */
  requireWritable: () => void
  /** Old generations go too. */
  collectGarbage: () => Promise<void>
  /** Keeps a standby, where a source is followed. */
  follower?: Pick<Follower, 'view' | 'warnings'> | undefined
  /** A run has changed. */
  onChange?: ((run: RetrievalRun) => void) | undefined
}

const MAX_PAUSE_MS = 5 * 60_000
/** How many runs that ended GET /retrieval shows. */
const SHOWN_RUNS = 10

const INTERRUPTED = {
  code: 'INTERRUPTED',
  message: 'the server ended while it ran; nothing of it was kept',
  hint: 'Begin again (POST /refresh), or wait for the schedule',
}

interface Running {
  recorder: RunRecorder
  controller: AbortController
  /** Nothing of it runs, or is left. */
  ended: Promise<void>
}

/** Brings data in: one run at a time, each a whole new generation or none. */
export class RetrievalService implements AsyncDisposable {
  readonly #options: RetrievalServiceOptions
  #running: Running | undefined
  /** The last run with all that comes after it. */
  #settled: Promise<void> = Promise.resolve()
  #closed = false
  #schedule: { expression: string; timeZone: string; nextRun: () => Date | null } | undefined

  constructor(options: RetrievalServiceOptions) {
    this.#options = options
  }

  /** What a process before this one was at when it ended: nobody goes on with it. */
  closeAbandonedRuns(): void {
    const { runs } = this.#options.catalogue
    for (const run of runs.list()) {
      if (run.outcome !== 'RUNNING') continue
      const endedAt = new Date().toISOString()
      if (run.snapshot !== '') runs.put({ ...run, outcome: 'DONE', endedAt })
      else runs.put({ ...run, outcome: 'FAILED', endedAt, error: INTERRUPTED })
    }
  }

  /** For people; the schedule itself calls `refresh`. */
  showSchedule(schedule: { expression: string; timeZone: string; nextRun: () => Date | null }): void {
    this.#schedule = schedule
  }

  get isConfigured(): boolean {
    return this.#options.sources.length > 0
  }

  view(): Retrieval {
    const { catalogue, sources } = this.#options
    const runs = catalogue.runs.list().filter(({ outcome }) => outcome !== 'RUNNING')
    const current = this.#running?.recorder.run
    const standby = this.#options.follower?.view()
    const [newest] = catalogue.snapshots.listPublished().filter(({ cloneId }) => cloneId === '')
    return {
      status: this.#status(
        current,
        runs.find(({ outcome }) => outcome !== 'CANCELLED'),
      ),
      sources: sources.map(({ kind, description }) => ({ kind, description })),
      schedule: this.#schedule?.expression ?? '',
      timeZone: this.#schedule?.timeZone ?? '',
      nextRunAt: this.#schedule?.nextRun()?.toISOString() ?? '',
      dataStateAt: newest?.timestamp ?? '',
      ...(standby && { standby }),
      ...(current && { current }),
      runs: runs.slice(0, SHOWN_RUNS),
    }
  }

  /**
   * Looks whether the sources can work, without bringing anything in.
   *
   * @throws ProvisionError with what to do
   */
  async check(signal: AbortSignal): Promise<void> {
    const { log, sources } = this.#options
    const tell = (message: string) => void log.info(message)
    await checkAll(sources, { signal, progress: () => undefined, info: tell, warn: tell })
  }

  /**
   * Begins a run.
   *
   * @throws LabError NO_SOURCE, REFRESH_RUNNING, SHUTTING_DOWN, CATALOGUE_UNREADABLE
   */
  refresh(trigger: RetrievalTrigger): RetrievalRun {
    const { log, sources, requireWritable, onChange } = this.#options
    requireWritable()
    if (!this.isConfigured) throw new LabError('NO_SOURCE', 'the lab has no source that data could be brought in from')
    if (this.#running) throw new LabError('REFRESH_RUNNING', 'one refresh runs at a time, and one is running')
    if (this.#closed) throw new LabError('SHUTTING_DOWN', 'the server is stopping', { retryAfterSeconds: 5 })
    const controller = new AbortController()
    const recorder = new RunRecorder({
      ...{ trigger, log, signal: controller.signal },
      source: sources.map(({ description }) => description).join('; '),
      onChange: (run, lasting) => {
        if (lasting) this.#keep(run)
        onChange?.(run)
      },
    })
    const ended = this.#run(recorder)
    this.#running = { recorder, controller, ended }
    this.#settled = ended
    return recorder.run
  }

  /**
   * Stops the run under way. Resolves once nothing of it runs or is left.
   *
   * @throws LabError REFRESH_NOT_RUNNING
   */
  async cancel(): Promise<RetrievalRun> {
    const running = this.#running
    if (!running) throw new LabError('REFRESH_NOT_RUNNING', 'there is no refresh to stop')
    running.controller.abort(new ProvisionError('ABORTED', 'it was stopped on request'))
    await running.ended
    return running.recorder.run
  }

  warnings(now = Date.now()): Warning[] {
    const { maxAgeMs, requireMasked, catalogue } = this.#options
    const { dataStateAt, status } = this.view()
    const warnings: Warning[] = []
    if (maxAgeMs !== undefined && dataStateAt !== '' && now - Date.parse(dataStateAt) > maxAgeMs) {
      warnings.push({
        code: 'DATA_OLD',
        message: `The newest data is as it was at ${dataStateAt}, which is longer ago than retrieval.maxAgeHours`,
        hint: 'GET /retrieval says how the last runs ended; POST /refresh begins one',
      })
    }
    const unmasked = requireMasked ? catalogue.snapshots.listPublished().filter(isUnmasked) : []
    if (unmasked.length > 0) {
      warnings.push({
        code: 'UNMASKED_DATA',
        message: `${unmasked.length} of the snapshots hold data that was not masked: nobody can clone them`,
        hint: 'They are from before masking was configured. Delete them, and the clones that stand on them (maskVersion in GET /snapshots is empty)',
      })
    }
    if (status.code === 'FAILED') {
      const hint = 'GET /retrieval has the reason and the log; POST /refresh tries again'
      warnings.push({ code: 'RETRIEVAL_FAILED', message: 'The last refresh failed', hint })
    }
    return [...warnings, ...(this.#options.follower?.warnings(now) ?? [])]
  }

  /** Stops what is under way, and begins nothing more. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true
    this.#running?.controller.abort(new ProvisionError('ABORTED', 'the server was stopped'))
    await this.#settled
  }

  #status(current: RetrievalRun | undefined, last: RetrievalRun | undefined): RetrievalStatus {
    if (current) return { code: 'RUNNING', message: `Data is being brought in: ${current.progress.step}` }
    if (last?.outcome === 'FAILED')
      return { code: 'FAILED', message: `The last refresh failed: ${last.error?.message}` }
    if (!this.isConfigured) return { code: 'NOT_CONFIGURED', message: 'The lab has no source of data' }
    return { code: 'OK', message: last ? 'The last refresh succeeded' : 'Nothing was brought in yet' }
  }

  /** What can't be written down is in the log, and must not end what is under way. */
  #keep(run: RetrievalRun): void {
    const { catalogue, log } = this.#options
    try {
      catalogue.evenIfFull(() => catalogue.runs.put(run))
    } catch (error) {
      log.error('how far a refresh is could not be written down', { run: run.id, error })
    }
  }

  async #run(recorder: RunRecorder): Promise<void> {
    const { log, catalogue } = this.#options
    try {
      const snapshot = await this.#attempts(recorder)
      const [newest] = catalogue.snapshots.listPublished()
      if (newest !== undefined && newest.id !== snapshot) {
        recorder.warn(`its data is older than that of ${newest.id}, which clones still get that name no snapshot`)
      }
      recorder.info(`the new generation is ready: snapshot ${snapshot}`)
      this.#end(recorder, 'DONE', { snapshot })
    } catch (error) {
      const outcome = recorder.signal.aborted ? 'CANCELLED' : 'FAILED'
      const failure = recorder.signal.aborted ? toFailure(recorder.signal.reason) : toFailure(error)
      if (failure.code === 'INTERNAL_ERROR') log.error('a refresh ended in a defect', { error })
      this.#end(recorder, outcome, { error: failure })
    }
    try {
      await this.#options.collectGarbage()
    } catch (error) {
      log.error('what a refresh has left could not be removed; it will be tried again', { error })
    }
  }

  /** Whoever hears of it may begin the next one. */
  #end(recorder: RunRecorder, ...how: Parameters<RunRecorder['end']>): void {
    this.#running = undefined
    recorder.end(...how)
  }

  async #attempts(recorder: RunRecorder): Promise<string> {
    const { sources, generate, attempts } = this.#options
    const { signal } = recorder
    for (let attempt = 1; ; attempt++) {
      try {
        recorder.progress({ step: 'CHECK' })
        return await generate(await checkAll(sources, recorder), recorder, (id) => recorder.published(id))
      } catch (error) {
        if (signal.aborted || attempt >= attempts.max || !(firstCause(error) instanceof InterruptedError)) throw error
        recorder.nextAttempt(toFailure(error))
        recorder.progress({ step: 'WAIT' })
        await pause(Math.min(attempts.firstPauseMs * 2 ** (attempt - 1), MAX_PAUSE_MS), signal)
      }
    }
  }
}

async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await delay(ms, undefined, { signal, ref: false }).catch((error: unknown) => {
    if (!signal.aborted) throw error
    throw isProvisionError(signal.reason) ? signal.reason : error
  })
}
