import { setTimeout as delay } from 'node:timers/promises'
import type { Logger } from '../log.ts'

/** Runs work again and again, with a pause after each run. Disposing it ends the pause, tells the run, and awaits it. */
export function repeat(
  what: string,
  pauseMs: number,
  work: (signal: AbortSignal) => Promise<void>,
  log: Logger,
): AsyncDisposable {
  const controller = new AbortController()
  const { signal } = controller
  const ended = (async () => {
    while (!signal.aborted) {
      try {
        await work(signal)
      } catch (error) {
        log.error(`${what} failed; it will be tried again`, { error })
      }
      await delay(pauseMs, undefined, { signal, ref: false }).catch((error: unknown) => {
        if (!signal.aborted) throw error
      })
    }
  })()
  return {
    [Symbol.asyncDispose]: async () => {
      controller.abort()
      await ended
    },
  }
}

/** How long work in turn holds up what waits behind it: what is stuck with one must not keep all others waiting. */
const TURN_MS = 2000

/**
 * Work that nobody waits for, one after the other; what takes long goes on beside the next. Disposing it cuts off what is under way, and
 * begins nothing that waits.
 */
export class InTurn implements AsyncDisposable {
  readonly #closing = new AbortController()
  readonly #turnMs: number
  readonly #running = new Set<Promise<void>>()
  #last: Promise<void> = Promise.resolve()

  constructor(turnMs = TURN_MS) {
    this.#turnMs = turnMs
  }

  /** Resolves once the work is done, or its turn is over, behind all that was added before. The work must not reject. */
  add(work: (signal: AbortSignal) => Promise<void>): Promise<void> {
    this.#last = this.#last.then(() => (this.#closing.signal.aborted ? undefined : this.#turn(work)))
    return this.#last
  }

  async #turn(work: (signal: AbortSignal) => Promise<void>): Promise<void> {
    const running = work(this.#closing.signal).finally(() => this.#running.delete(running))
    this.#running.add(running)
    const { promise: over, resolve } = Promise.withResolvers<void>()
    const turn = setTimeout(resolve, this.#turnMs).unref()
    await Promise.race([running, over])
    clearTimeout(turn)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing.abort()
    await Promise.all([this.#last, ...this.#running])
  }
}
