import { LabError } from '../errors.ts'

export interface JobsOptions {
  /** How many run at the same time. */
  concurrency: number
  /** How many may wait; more are refused. */
  queue: number
}

/** A creation takes a moment; the recovery of a large clone may take many minutes. */
const CLOSE_GRACE_MS = 10_000

interface Job {
  controller: AbortController
  done: Promise<void>
}

/**
 * Work on clones: one job at a time for each clone, a bounded number of them at once, first come first served. A job's own errors are
 * its own to handle; one that escapes is a bug, and goes to `onError`.
 */
export class Jobs {
  readonly #options: JobsOptions
  readonly #onError: (error: unknown, key: string) => void
  /** Those that run or wait, in the order of their coming. */
  readonly #jobs = new Map<string, Job[]>()
  readonly #waiting: (() => void)[] = []
  /** Places that were promised to jobs which have not been added yet. */
  #reserved = 0
  #admitted = 0
  #running = 0
  #closed = false

  constructor(options: JobsOptions, onError: (error: unknown, key: string) => void) {
    this.#options = options
    this.#onError = onError
  }

  /**
   * Keeps a place for a job, until it is disposed of: to be asked for before anything is promised, and held until the job is added.
   *
   * @throws LabError TOO_BUSY, SHUTTING_DOWN
   */
  reserve(): Disposable {
    const { concurrency, queue } = this.#options
    if (this.#closed) throw new LabError('SHUTTING_DOWN', 'the server is stopping', { retryAfterSeconds: 5 })
    const busy = this.#admitted + this.#reserved
    if (busy >= concurrency + queue) {
      throw new LabError('TOO_BUSY', `${busy} operations run or wait already`, { retryAfterSeconds: 5 })
    }
    this.#reserved++
    return { [Symbol.dispose]: () => void this.#reserved-- }
  }

  /** Runs `work` after whatever is under way for the same key. The promise ends when the work has, and never rejects. */
  add(key: string, work: (signal: AbortSignal) => Promise<void>): Promise<void> {
    const controller = new AbortController()
    const jobs = this.#jobs.get(key) ?? []
    const before = jobs.at(-1)?.done
    const job: Job = { controller, done: this.#run(key, before, work, controller.signal) }
    this.#jobs.set(key, [...jobs, job])
    this.#admitted++
    void job.done.then(() => {
      this.#admitted--
      const left = (this.#jobs.get(key) ?? []).filter((other) => other !== job)
      if (left.length > 0) this.#jobs.set(key, left)
      else this.#jobs.delete(key)
    })
    return job.done
  }

  isBusy(key: string): boolean {
    return this.#jobs.has(key)
  }

  /** Asks what runs and waits for this key to stop. It still ends in its own time, before the next job of the key. */
  abort(key: string, reason: unknown): void {
    for (const job of this.#jobs.get(key) ?? []) job.controller.abort(reason)
  }

  /**
   * Lets nothing new begin; resolves when what runs has ended. Jobs that still wait are dropped: the catalogue knows them. What runs on
   * after the time of grace is asked to stop; it is done again from its beginning at the next start.
   */
  async close(graceMs = CLOSE_GRACE_MS): Promise<void> {
    this.#closed = true
    for (const wake of this.#waiting.splice(0)) wake()
    const jobs = [...this.#jobs.values()].flat()
    const reason = new LabError('SHUTTING_DOWN', 'the server is stopping', { retryAfterSeconds: 5 })
    const late = setTimeout(() => {
      for (const job of jobs) job.controller.abort(reason)
    }, graceMs)
    await Promise.all(jobs.map((job) => job.done))
    clearTimeout(late)
  }

  async #run(
    key: string,
    before: Promise<void> | undefined,
    work: (signal: AbortSignal) => Promise<void>,
    signal: AbortSignal,
  ): Promise<void> {
    await before
    while (this.#running >= this.#options.concurrency && !this.#closed) {
      await new Promise<void>((wake) => this.#waiting.push(wake))
    }
    if (this.#closed) return
    this.#running++
    try {
      await work(signal)
    } catch (error) {
      this.#onError(error, key)
    } finally {
      this.#running--
      this.#waiting.shift()?.()
    }
  }
}
