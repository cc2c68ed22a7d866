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
