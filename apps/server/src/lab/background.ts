import { setTimeout as delay } from 'node:timers/promises'
import type { Logger } from '../log.ts'

/** Runs work again and again, with a pause after each run. Disposing it ends the pause, and awaits the run. */
export function repeat(what: string, pauseMs: number, work: () => Promise<void>, log: Logger): AsyncDisposable {
  const controller = new AbortController()
  const { signal } = controller
  const ended = (async () => {
    while (!signal.aborted) {
      try {
        await work()
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

/** Work that nobody waits for, one after the other. Disposing it cuts off what is under way, and begins nothing that waits. */
export class InTurn implements AsyncDisposable {
  readonly #closing = new AbortController()
  #last: Promise<void> = Promise.resolve()

  /** Resolves once the work is done, behind all that was added before. The work must not reject. */
  add(work: (signal: AbortSignal) => Promise<void>): Promise<void> {
    const { signal } = this.#closing
    this.#last = this.#last.then(() => (signal.aborted ? undefined : work(signal)))
    return this.#last
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing.abort()
    await this.#last
  }
}
