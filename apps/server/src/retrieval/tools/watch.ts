import { setInterval } from 'node:timers/promises'

/**
 * Looks now and then how far something is, until it is disposed. What fails in looking is left out: whoever does the work itself learns of it, and
 * says so.
 */
export function watch(everyMs: number, look: () => Promise<void>): AsyncDisposable {
  const controller = new AbortController()
  const { signal } = controller
  const ended = (async () => {
    try {
      for await (const _ of setInterval(everyMs, undefined, { signal, ref: false })) await look().catch(() => undefined)
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
