import type { Client } from './client.ts'
import { Deadline, sleep, within } from './deadline.ts'
import { CloneFailedError, isLabApiError, LabTimeoutError } from './errors.ts'
import { backoffMs } from './retry.ts'
import type { Clone } from './schema.gen.ts'

/** Times that waiting goes by; other ones only in tests. */
export interface Pace {
  /** Seconds that the server is asked to hold an answer: below the 60 after which proxies commonly cut a silent connection. */
  holdSeconds: number
  /** How much later than asked an answer may come before the connection is taken for dead. */
  lateMs: number
  /** First and longest pause between questions to a server that does not hold its answers. */
  pollMs: number
  longestPollMs: number
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
  graceMs: 5_000,
  discardMs: 10_000,
}

interface WaitOptions {
  deadline: Deadline
  pace: Pace
  retries?: number | undefined
}

/**
 * The clone once it is OK.
 *
 * @param first as the server last answered it
 * @throws CloneFailedError when it is FATAL or being deleted; LabApiError CLONE_NOT_FOUND when it is gone
 */
export async function waitUntilReady(client: Client, first: Clone, options: WaitOptions): Promise<Clone> {
  const polls = new Polls(client, first.id, options)
  let clone = first
  // A status that this version does not know is waited out, like CREATING and RESETTING.
  while (statusOf(clone) !== 'OK') {
    const status = statusOf(clone)
    if (status === 'FATAL' || status === 'DELETING') throw new CloneFailedError(clone)
    clone = await polls.next()
  }
  return clone
}

/**
 * Resolves once there is no such clone any more.
 *
 * @throws CloneFailedError when its deletion failed
 */
export async function waitUntilGone(client: Client, { id, createdAt }: Clone, options: WaitOptions): Promise<void> {
  const polls = new Polls(client, id, options)
  try {
    for (;;) {
      const clone = await polls.next()
      // Somebody took the id for a new clone as soon as it was free.
      if (clone.createdAt !== createdAt) return
      if (statusOf(clone) === 'FATAL') throw new CloneFailedError(clone)
    }
  } catch (error) {
    if (!isLabApiError(error, 'CLONE_NOT_FOUND')) throw error
  }
}

/** Asks for a clone again and again: without pauses where the server holds its answer until something happens. */
class Polls {
  readonly #client: Client
  readonly #id: string
  readonly #options: WaitOptions
  #earlyAnswers = 0
  #pauseMs = 0

  constructor(client: Client, id: string, options: WaitOptions) {
    this.#client = client
    this.#id = id
    this.#options = options
  }

  async next(): Promise<Clone> {
    const { deadline, pace } = this.#options
    for (;;) {
      if (this.#pauseMs > 0) await sleep(this.#pauseMs, deadline.signal)
      const wait = Math.ceil(Math.min(pace.holdSeconds, Math.max(1, deadline.remainingMs / 1000)))
      const asked = performance.now()
      const clone = await this.#ask(wait)
      if (!clone) continue
      // An older server knows no `wait`, and a stopping one can't keep it: then it is for us to pace.
      const early = performance.now() - asked < wait * 900
      this.#pauseMs = early ? backoffMs(this.#earlyAnswers, pace.pollMs, pace.longestPollMs) : 0
      this.#earlyAnswers = early ? this.#earlyAnswers + 1 : 0
      return clone
    }
  }

  /** Undefined when the answer is so late that the connection must be dead. */
  async #ask(wait: number): Promise<Clone | undefined> {
    const { deadline, pace, retries } = this.#options
    const patience = new Deadline('asking for a clone', wait * 1000 + pace.lateMs, deadline.signal)
    const input = { path: { id: this.#id }, query: { wait } }
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
