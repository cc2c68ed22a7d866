import type { Client } from './client.ts'
import type { CloneWaiter, CloneWatch, WatchPace } from './clone-watch.ts'
import { Deadline, sleep, within } from './deadline.ts'
import { CloneFailedError, isLabApiError, LabTimeoutError } from './errors.ts'
import { backoffMs } from './retry.ts'
import type { Clone } from './schema.gen.ts'

/** Times that waiting goes by; other ones only in tests. */
export interface Pace extends WatchPace {
  /** Seconds that the server is asked to hold an answer: below the 60 after which proxies commonly cut a silent connection. */
  holdSeconds: number
  /** How much later than asked an answer may come before the connection is taken for dead. */
  lateMs: number
  /** First and longest pause between questions to a server that does not hold its answers. */
  pollMs: number
  longestPollMs: number
  /** However quiet the events are, a clone is looked at so often: should one ever be lost. */
  lookMs: number
  /** How long the answer to a creation that was given up is still waited for, since it names the clone that is to be deleted. */
  graceMs: number
  /** How long the deletion of a clone that did not become ready may take. */
  discardMs: number
}

export const defaultPace: Pace = {
  holdSeconds: 25,
  lateMs: 10_000,
  pollMs: 100,
  longestPollMs: 2_000,
  beginMs: 3_000,
  restMs: 300_000,
  lookMs: 30_000,
  graceMs: 5_000,
  discardMs: 10_000,
}

/** What all who wait for clones of a lab have in common. */
export interface Waits {
  pace: Pace
  watch: CloneWatch
}

interface WaitOptions extends Waits {
  deadline: Deadline
  retries?: number | undefined
}

/**
 * The clone once it is OK.
 *
 * @param first as the server last answered it
 * @throws CloneFailedError when it is FATAL or being deleted; LabApiError CLONE_NOT_FOUND when it is gone
 */
export async function waitUntilReady(client: Client, first: Clone, options: WaitOptions): Promise<Clone> {
  const looks = new Looks(client, first.id, options)
  let clone = first
  try {
    // A status that this version does not know is waited out, like CREATING and RESETTING.
    while (statusOf(clone) !== 'OK') {
      const status = statusOf(clone)
      if (status === 'FATAL' || status === 'DELETING') throw new CloneFailedError(clone)
      clone = await looks.next()
    }
    return clone
  } finally {
    looks.end()
  }
}

/**
 * Resolves once there is no such clone any more.
 *
 * @throws CloneFailedError when its deletion failed
 */
export async function waitUntilGone(client: Client, { id, createdAt }: Clone, options: WaitOptions): Promise<void> {
  const looks = new Looks(client, id, options)
  try {
    for (;;) {
      const clone = await looks.next()
      // Somebody took the id for a new clone as soon as it was free.
      if (clone.createdAt !== createdAt) return
      if (statusOf(clone) === 'FATAL') throw new CloneFailedError(clone)
    }
  } catch (error) {
    if (!isLabApiError(error, 'CLONE_NOT_FOUND')) throw error
  } finally {
    looks.end()
  }
}

/**
 * Looks at a clone whenever an event says that there may be something to see: subscribed first, so that nothing is missed between. Without events
 * it asks again and again, without pauses where the server holds its answer until something happens.
 */
class Looks {
  readonly #client: Client
  readonly #id: string
  readonly #options: WaitOptions
  #waiter: CloneWaiter | undefined
  #earlyAnswers = 0
  #pauseMs = 0

  constructor(client: Client, id: string, options: WaitOptions) {
    this.#client = client
    this.#id = id
    this.#options = options
  }

  async next(): Promise<Clone> {
    const { deadline, pace, watch } = this.#options
    const { signal } = deadline
    if (this.#waiter?.isTold) await this.#waiter.changed(pace.lookMs, signal)
    this.#waiter ??= watch.join(this.#id)
    const waiter = this.#waiter
    await waiter.begun(signal)
    for (;;) {
      const clone = waiter.isTold ? await this.#ask() : await this.#poll()
      if (!clone) continue
      waiter.seen = statusOf(clone)
      return clone
    }
  }

  end(): void {
    this.#waiter?.leave()
  }

  /** Undefined when the answer is late. */
  async #poll(): Promise<Clone | undefined> {
    const { deadline, pace } = this.#options
    if (this.#pauseMs > 0) await sleep(this.#pauseMs, deadline.signal)
    const wait = Math.ceil(Math.min(pace.holdSeconds, Math.max(1, deadline.remainingMs / 1000)))
    const asked = performance.now()
    const clone = await this.#ask(wait)
    if (!clone) return undefined
    // An older server knows no `wait`, and a stopping one can't keep it: then it is for us to pace.
    const early = performance.now() - asked < wait * 900
    this.#pauseMs = early ? backoffMs(this.#earlyAnswers, pace.pollMs, pace.longestPollMs) : 0
    this.#earlyAnswers = early ? this.#earlyAnswers + 1 : 0
    return clone
  }

  /** Undefined when the answer is so late that the connection must be dead. */
  async #ask(wait?: number): Promise<Clone | undefined> {
    const { deadline, pace, retries } = this.#options
    const patience = new Deadline('asking for a clone', (wait ?? 0) * 1000 + pace.lateMs, deadline.signal)
    const input = { path: { id: this.#id }, ...(wait !== undefined && { query: { wait } }) }
    try {
      return await within(patience, () => this.#client.send(patience, 'GET /clone/{id}', input, { retries }))
    } catch (error) {
      if (error instanceof LabTimeoutError && !deadline.signal.aborted) return undefined
      throw error
    }
  }
}

/** A server that answers a creation with the id alone has its status asked for. */
function statusOf(clone: Partial<Clone>): string | undefined {
  return clone.status?.code
}
