import { LabError } from '../errors.ts'
import { Lane, type Place } from './lane.ts'

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

/** What is in the background goes on by then: what runs may wait itself, for its disk or for a Postgres that recovers. */
const LONGEST_PAUSE_MS = 1000

/** The kind, the token, the username. */
const NAMES = 3

/** Whom work is done for: those who ask take turns, by their tokens, and below one token by the username that is said. */
export interface Asker {
  /** Null for the lab's first token. */
  tokenId: string | null
  username: string
}

/**
 * `asked`: what somebody waits for, and may be refused before it is promised. `upkeep`: takes turns with all that is asked, and is never refused.
 * `urgent`: does not wait behind those, since it frees what they may wait for.
 */
export type JobKind = 'asked' | 'upkeep' | 'urgent'

export interface JobOptions {
  asker: Asker
  /** `asked` if left out. */
  kind?: JobKind
}

interface Job {
  controller: AbortController
  done: Promise<void>
}

/**
 * Work on clones: one job at a time for each clone, a bounded number of them at once. Those who ask take turns (see `Rounds`), and each gets
 * its own first come first served. Urgent ones have the places that nothing else wants, and always one.
 *
 * A job's own errors are its own to handle; one that escapes is a bug, and goes to `onError`, which must not throw.
 */
export class Jobs {
  readonly #options: JobsOptions
  readonly #onError: (error: unknown, key: string) => void
  /** Those that run or wait, in the order of their coming. */
  readonly #jobs = new Map<string, Job[]>()
  readonly #usual: Lane
  readonly #urgent: Lane
  /** By token: promised, waiting or running of what is asked. */
  readonly #held = new Map<string, number>()
  #heldInAll = 0
  readonly #pausing: (() => void)[] = []
  #closed = false

  constructor(options: JobsOptions, onError: (error: unknown, key: string) => void) {
    const { concurrency } = options
    this.#options = options
    this.#onError = onError
    this.#usual = new Lane(() => concurrency, { names: NAMES, left: () => this.#usualLeft() })
    const unwanted = () => concurrency - this.#usual.running - this.#usual.waiting
    this.#urgent = new Lane(() => Math.max(1, unwanted()), { names: NAMES })
  }

  /**
   * Keeps a place for a job of the kind `asked`, until it is disposed of: to be asked for before anything is promised, and held until the job
   * is added. To dispose of it again changes nothing. What others have promised to them never refuses who has nothing.
   *
   * @throws LabError TOO_BUSY, SHUTTING_DOWN
   */
  reserve({ tokenId }: Pick<Asker, 'tokenId'>): Disposable {
    const { concurrency, queue } = this.#options
    const token = nameOf(tokenId)
    if (this.#closed) throw new LabError('SHUTTING_DOWN', 'the server is stopping', { retryAfterSeconds: 5 })
    if (this.#heldInAll >= concurrency + queue && this.#held.has(token)) {
      throw new LabError('TOO_BUSY', `${this.#heldInAll} operations run or wait already`, {
        retryAfterSeconds: this.#secondsUntilDone(),
      })
    }
    return this.#hold(token)
  }

  /** Runs `work` after whatever is under way for the same key. The promise ends when the work has, and never rejects. */
  add(key: string, work: (signal: AbortSignal) => Promise<void>, { asker, kind = 'asked' }: JobOptions): Promise<void> {
    const controller = new AbortController()
    const { signal } = controller
    const jobs = this.#jobs.get(key) ?? []
    const token = nameOf(asker.tokenId)
    const lane = kind === 'urgent' ? this.#urgent : this.#usual
    const enter = () => lane.enter({ key, signal, names: [kind, token, asker.username] })
    const held = kind === 'asked' ? this.#hold(token) : undefined
    const job: Job = { controller, done: this.#run(key, jobs.at(-1)?.done, enter, () => work(signal)) }
    this.#jobs.set(key, [...jobs, job])
    void job.done.then(() => {
      held?.[Symbol.dispose]()
      const left = (this.#jobs.get(key) ?? []).filter((other) => other !== job)
      if (left.length > 0) this.#jobs.set(key, left)
      else this.#jobs.delete(key)
    })
    return job.done
  }

  /** The place in the queue of the work on this key, from 1, in the order in which it will begin if nothing new comes; 0 when none of it waits. */
  position(key: string): number {
    return this.#usual.position(key)
  }

  /** The same of all keys whose work waits. */
  positions(): ReadonlyMap<string, number> {
    return this.#usual.positions()
  }

  /** How many have a place. */
  get running(): number {
    return this.#usual.running + this.#urgent.running
  }

  /** How many wait for a place. */
  get waiting(): number {
    return this.#usual.waiting + this.#urgent.waiting
  }

  /** True while nothing runs or waits that somebody may be waiting for. */
  get isIdle(): boolean {
    return this.#jobs.size === 0 && this.#heldInAll === 0
  }

  /** How many run or wait for this key. */
  countOf(key: string): number {
    return this.#jobs.get(key)?.length ?? 0
  }

  isBusy(key: string): boolean {
    return this.#jobs.has(key)
  }

  /**
   * Asks what runs and waits for this key to stop. It still ends in its own time, before the next job of the key; what waits for a place does
   * so no longer.
   */
  abort(key: string, reason: unknown): void {
    for (const job of this.#jobs.get(key) ?? []) job.controller.abort(reason)
  }

  /**
   * For work in the background, which gives way: resolves when neither `asked` nor `upkeep` is under way, else when the next of them has ended,
   * and after a second in any case. So what is done after it is done as often as they are, at least, however busy the lab is.
   */
  async pause(): Promise<void> {
    if (this.#usual.running === 0) return
    const { promise, resolve } = Promise.withResolvers<void>()
    const latest = setTimeout(resolve, LONGEST_PAUSE_MS).unref()
    this.#pausing.push(resolve)
    await promise
    clearTimeout(latest)
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

  /** In line when this returns, unless it has to wait for what came before it. */
  async #run(
    key: string,
    before: Promise<void> | undefined,
    enter: () => Promise<Place | undefined>,
    work: () => Promise<void>,
  ): Promise<void> {
    if (before) await before
    using place = await enter()
    if (!place) return
    if (place.waited) this.#options.begun?.(key)
    try {
      await work()
    } catch (error) {
      this.#onError(error, key)
    }
  }

  #usualLeft(): void {
    this.#urgent.fill()
    for (const goOn of this.#pausing.splice(0)) goOn()
  }

  #hold(token: string): Disposable {
    this.#held.set(token, (this.#held.get(token) ?? 0) + 1)
    this.#heldInAll++
    let held = true
    return {
      [Symbol.dispose]: () => {
        if (!held) return
        held = false
        this.#heldInAll--
        const left = (this.#held.get(token) ?? 1) - 1
        if (left > 0) this.#held.set(token, left)
        else this.#held.delete(token)
      },
    }
  }

  /** Until what runs and waits now is done: who comes back sooner finds the same. */
  #secondsUntilDone(): number {
    const each = this.#options.secondsEach?.() || 1
    const seconds = Math.ceil((each * this.#heldInAll) / this.#options.concurrency)
    return Math.min(LONGEST_RETRY_SECONDS, Math.max(1, seconds))
  }
}

/** No token has an empty id. */
function nameOf(tokenId: string | null): string {
  return tokenId ?? ''
}
