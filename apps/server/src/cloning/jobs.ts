import { LabError } from '../errors.ts'

export interface JobsOptions {
  /** How many run at the same time. */
  concurrency: number
  /** How many may wait; more are refused. */
  queue: number
  /** How long one takes, as far as is known; 0 for not yet. */
  secondsEach?: () => number
  /** Called when one that waited begins. */
  begun?: (key: string) => void
}

/** A creation takes a moment; the recovery of a large clone may take many minutes. */
const CLOSE_GRACE_MS = 10_000

/** The time that one takes was measured, and may be another by now. */
const LONGEST_RETRY_SECONDS = 300

interface Job {
  controller: AbortController
  done: Promise<void>
}

/** A number of places for work, given first come first served. */
class Lane {
  readonly #places: number
  readonly #waiting: { key: string; wake: (place: Disposable | undefined) => void }[] = []
  #running = 0
  #open = true

  constructor(places: number) {
    this.#places = places
  }

  /** True when who enters now has to wait. */
  get isFull(): boolean {
    return this.#running >= this.#places
  }

  /** Undefined once it is closed. */
  async enter(key: string): Promise<Disposable | undefined> {
    if (!this.#open) return undefined
    if (this.isFull) return new Promise((wake) => this.#waiting.push({ key, wake }))
    this.#running++
    return this.#place()
  }

  /** From 1 for who comes next; 0 for who does not wait. */
  position(key: string): number {
    return this.#waiting.findIndex((waiting) => waiting.key === key) + 1
  }

  /** The same of all who wait. */
  positions(): Map<string, number> {
    return new Map(this.#waiting.map(({ key }, at) => [key, at + 1]))
  }

  close(): void {
    this.#open = false
    for (const { wake } of this.#waiting.splice(0)) wake(undefined)
  }

  #place(): Disposable {
    return { [Symbol.dispose]: () => this.#leave() }
  }

  /** The place goes straight to the next in line: nobody who comes in this moment takes it. */
  #leave(): void {
    const next = this.#waiting.shift()
    if (next) next.wake(this.#place())
    else this.#running--
  }
}

export interface JobOptions {
  /** Does not wait behind the others: it frees what they may wait for. */
  urgent?: boolean
}

/**
 * Work on clones: one job at a time for each clone, a bounded number of them at once, first come first served. Urgent ones have as many
 * places again. A job's own errors are its own to handle; one that escapes is a bug, and goes to `onError`, which must not throw.
 */
export class Jobs {
  readonly #options: JobsOptions
  readonly #onError: (error: unknown, key: string) => void
  /** Those that run or wait, in the order of their coming. */
  readonly #jobs = new Map<string, Job[]>()
  readonly #usual: Lane
  readonly #urgent: Lane
  /** Places that were promised to jobs which have not been added yet. */
  #reserved = 0
  #admitted = 0
  #closed = false

  constructor(options: JobsOptions, onError: (error: unknown, key: string) => void) {
    this.#options = options
    this.#onError = onError
    this.#usual = new Lane(options.concurrency)
    this.#urgent = new Lane(options.concurrency)
  }

  /**
   * Keeps a place for a job, until it is disposed of: to be asked for before anything is promised, and held until the job is added. To
   * dispose of it again changes nothing.
   *
   * @throws LabError TOO_BUSY, SHUTTING_DOWN
   */
  reserve(): Disposable {
    const { concurrency, queue } = this.#options
    if (this.#closed) throw new LabError('SHUTTING_DOWN', 'the server is stopping', { retryAfterSeconds: 5 })
    const busy = this.#admitted + this.#reserved
    if (busy >= concurrency + queue) {
      throw new LabError('TOO_BUSY', `${busy} operations run or wait already`, {
        retryAfterSeconds: this.#secondsUntilDone(busy),
      })
    }
    this.#reserved++
    let held = true
    return {
      [Symbol.dispose]: () => {
        if (held) this.#reserved--
        held = false
      },
    }
  }

  /** Runs `work` after whatever is under way for the same key. The promise ends when the work has, and never rejects. */
  add(key: string, work: (signal: AbortSignal) => Promise<void>, { urgent = false }: JobOptions = {}): Promise<void> {
    const controller = new AbortController()
    const jobs = this.#jobs.get(key) ?? []
    const before = jobs.at(-1)?.done
    const lane = urgent ? this.#urgent : this.#usual
    const job: Job = { controller, done: this.#run(key, before, lane, () => work(controller.signal)) }
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

  /** The place in the queue of the work on this key, from 1; 0 when none of it waits. */
  position(key: string): number {
    return this.#usual.position(key)
  }

  /** The same of all keys whose work waits: for who asks for many. */
  positions(): ReadonlyMap<string, number> {
    return this.#usual.positions()
  }

  /** Until what runs and waits now is done: who comes back sooner finds the same. */
  #secondsUntilDone(busy: number): number {
    const each = this.#options.secondsEach?.() || 1
    return Math.min(LONGEST_RETRY_SECONDS, Math.max(1, Math.ceil((each * busy) / this.#options.concurrency)))
  }

  /** How many run or wait for this key. */
  countOf(key: string): number {
    return this.#jobs.get(key)?.length ?? 0
  }

  /** True while nothing runs or waits that somebody may be waiting for. */
  get isIdle(): boolean {
    return this.#admitted + this.#reserved === 0
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
    this.#usual.close()
    this.#urgent.close()
    const jobs = [...this.#jobs.values()].flat()
    const reason = new LabError('SHUTTING_DOWN', 'the server is stopping', { retryAfterSeconds: 5 })
    const late = setTimeout(() => {
      for (const job of jobs) job.controller.abort(reason)
    }, graceMs)
    await Promise.all(jobs.map((job) => job.done))
    clearTimeout(late)
  }

  async #run(key: string, before: Promise<void> | undefined, lane: Lane, work: () => Promise<void>): Promise<void> {
    await before
    const waits = lane.isFull
    using place = await lane.enter(key)
    if (!place) return
    if (waits) this.#options.begun?.(key)
    try {
      await work()
    } catch (error) {
      this.#onError(error, key)
    }
  }
}
