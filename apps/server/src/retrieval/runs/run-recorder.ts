import type {
  RetrievalFailure,
  RetrievalLogEntry,
  RetrievalOutcome,
  RetrievalProgress,
  RetrievalRun,
  RetrievalStep,
  RetrievalTrigger,
} from '@dblab/models'
import { timedId } from '../../ids.ts'
import type { Logger } from '../../log.ts'
import type { Reporter } from '../source.ts'
import { Rate } from './rate.ts'

/** How much of a run's log is kept. */
const KEPT_ENTRIES = 200
/** How often progress is told, where nothing else happens. */
const TELL_EVERY_MS = 1000
/** How often it goes to the log. */
const LOG_EVERY_MS = 10_000

export interface RecorderOptions {
  trigger: RetrievalTrigger
  source: string
  log: Logger
  signal: AbortSignal
  /** `lasting`: what is to outlive the process; else only those who look want to know. */
  onChange: (run: RetrievalRun, lasting: boolean) => void
}

/** Writes down how one run goes, for people and for programs. */
export class RunRecorder implements Reporter {
  readonly signal: AbortSignal
  readonly #options: RecorderOptions
  readonly #run: RetrievalRun
  #rate = new Rate()
  #toldAt = 0
  #loggedAt = 0

  constructor(options: RecorderOptions) {
    const { trigger, source, signal } = options
    this.#options = options
    this.signal = signal
    const now = new Date()
    this.#run = {
      ...{ id: timedId(now), trigger, outcome: 'RUNNING', source, attempt: 1 },
      ...{ startedAt: now.toISOString(), endedAt: '', progress: nothingDone('CHECK'), snapshot: '', log: [] },
    }
    this.#changed(true)
  }

  get run(): RetrievalRun {
    return structuredClone(this.#run)
  }

  progress({ step, ...counts }: { step: RetrievalStep } & Partial<Omit<RetrievalProgress, 'step'>>): void {
    const isNew = step !== this.#run.progress.step
    if (isNew) this.#rate = new Rate()
    const before = isNew ? nothingDone(step) : this.#run.progress
    const progress = { ...before, ...counts }
    this.#run.progress = { ...progress, ...this.#rate.of(progress.bytesDone, progress.bytesTotal) }
    const now = Date.now()
    if (isNew || now - this.#loggedAt >= LOG_EVERY_MS) {
      this.#loggedAt = now
      this.#options.log.info('bringing in data', { run: this.#run.id, ...inWords(this.#run.progress) })
    }
    if (isNew || now - this.#toldAt >= TELL_EVERY_MS) this.#changed(isNew)
  }

  info(message: string): void {
    this.#note('info', message)
  }

  warn(message: string): void {
    this.#note('warn', message)
  }

  /** An attempt failed, and another is to come. */
  nextAttempt(error: RetrievalFailure): void {
    this.#run.attempt++
    this.#run.error = error
    this.#note('error', error.message)
  }

  /** Its snapshot is there: should the process end now, the run has succeeded. */
  published(snapshot: string): void {
    this.#run.snapshot = snapshot
    this.#changed(true)
  }

  /** The run has ended. */
  end(outcome: RetrievalOutcome, { snapshot = '', error }: { snapshot?: string; error?: RetrievalFailure }): void {
    this.#run.outcome = outcome
    this.#run.snapshot = snapshot
    this.#run.endedAt = new Date().toISOString()
    if (error) this.#run.error = error
    if (error) this.#note('error', error.message)
    else this.#changed(true)
  }

  #note(level: RetrievalLogEntry['level'], message: string): void {
    this.#run.log.push({ at: new Date().toISOString(), level, message })
    if (this.#run.log.length > KEPT_ENTRIES) this.#run.log.shift()
    this.#options.log[level](message, { run: this.#run.id })
    this.#changed(true)
  }

  #changed(lasting: boolean): void {
    this.#toldAt = Date.now()
    this.#options.onChange(this.run, lasting)
  }
}

function nothingDone(step: RetrievalStep): RetrievalProgress {
  return { step, tablesDone: 0, tablesTotal: 0, bytesDone: 0, bytesTotal: 0, bytesPerSecond: 0, secondsLeft: 0 }
}

function inWords({ step, tablesDone, tablesTotal, bytesDone, bytesTotal, secondsLeft }: RetrievalProgress) {
  return {
    step,
    ...(bytesTotal > 0 && { percent: Math.floor((bytesDone / bytesTotal) * 100) }),
    ...(tablesTotal > 0 && { tables: `${tablesDone}/${tablesTotal}` }),
    ...(secondsLeft > 0 && { secondsLeft }),
  }
}
