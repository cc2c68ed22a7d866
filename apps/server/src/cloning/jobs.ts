import { LabError } from '../errors.ts'

export interface JobsOptions {
  /** How many run at the same time. */
  concurrency: number
  /** How many may wait; more are refused. */
  queue: number
}

interface Job {
  key: string
  controller: AbortController
  done: Promise<void>
}

/**
 * Work on clones: one job at a time for each clone, a bounded number of them at once, first come first served. A job's own errors are
 * its own to handle; one that escapes is a bug, and goes to `onError`.
 */
export class Jobs {
  readonly #options: JobsOptions
  readonly #onError: (error: unknown) => void
  readonly #last = new Map<string, Job>()
  readonly #waiting: (() => void)[] = []
  #running = 0
  #closed = false

  constructor(options: JobsOptions, onError: (error: unknown) => void) {
    this.#options = options
    this.#onError = onError
  }

  /** @throws LabError TOO_BUSY, SHUTTING_DOWN: to be asked before anything is promised. */
  requireRoom(): void {
    if (this.#closed) throw new LabError('SHUTTING_DOWN', 'the server is stopping', { retryAfterSeconds: 5 })
    if (this.#waiting.length >= this.#options.queue) {
      throw new LabError('TOO_BUSY', `${this.#waiting.length} operations are waiting already`, { retryAfterSeconds: 5 })
    }
  }

  /** Runs `work` after whatever is under way for the same key. The promise ends when the work has, and never rejects. */
  add(key: string, work: (signal: AbortSignal) => Promise<void>): Promise<void> {
    const controller = new AbortController()
    const before = this.#last.get(key)?.done
    const job: Job = { key, controller, done: this.#run(before, work, controller.signal) }
    this.#last.set(key, job)
    void job.done.then(() => {
      if (this.#last.get(key) === job) this.#last.delete(key)
    })
    return job.done
  }

  isBusy(key: string): boolean {
    return this.#last.has(key)
  }

  /** Asks what runs or waits for this key to stop. It still ends in its own time, before the next job of the key. */
  abort(key: string, reason: unknown): void {
    this.#last.get(key)?.controller.abort(reason)
  }

  /** Lets nothing new begin; resolves when what runs has ended. Jobs that still wait are dropped: the catalogue knows them. */
  async close(): Promise<void> {
    this.#closed = true
    for (const wake of this.#waiting.splice(0)) wake()
    await Promise.all([...this.#last.values()].map((job) => job.done))
  }

  async #run(
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
      this.#onError(error)
    } finally {
      this.#running--
      this.#waiting.shift()?.()
    }
  }
}
