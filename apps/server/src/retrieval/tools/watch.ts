import { setTimeout as delay } from 'node:timers/promises'

/**
 * Looks now and then how far something is, until it is disposed. What fails in looking is left out: whoever does the work itself learns of it, and
 * says so.
 */
export function watch(everyMs: number, look: () => Promise<void>): AsyncDisposable {
  const controller = new AbortController()
  const { signal } = controller
  const ended = (async () => {
    try {
      // A pause after each look: the times that one has missed which waits for a dead connection are not made up for.
      for (;;) {
        await delay(everyMs, undefined, { signal, ref: false })
        await look().catch(() => undefined)
      }
    } catch (error) {
      if (!signal.aborted) throw error
    }
  })()
  return {
    [Symbol.asyncDispose]: async () => {
      controller.abort()
      await ended
    },
  }
}
