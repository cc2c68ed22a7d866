import { setTimeout as delay } from 'node:timers/promises'

/** Long enough for who was just answered to connect and ask the first thing. */
const QUIET_MS = 300
/** Where there is always somebody, chores are done all the same. */
const PATIENCE_MS = 5000

/**
 * Keeps chores out of the way of those who wait: what follows a creation takes as much of the processors as the creation did, and would take
 * it from its user's first moments.
 */
export class Lull {
  #disturbedAt = Number.NEGATIVE_INFINITY

  /** Somebody asks for something, or was just given it. */
  disturb(): void {
    this.#disturbedAt = performance.now()
  }

  /** Resolves once nobody has asked for anything for a moment, or after some seconds. @throws the signal's reason */
  async arrival(signal?: AbortSignal): Promise<void> {
    const patientUntil = performance.now() + PATIENCE_MS
    for (;;) {
      const restMs = Math.min(this.#disturbedAt + QUIET_MS, patientUntil) - performance.now()
      if (restMs <= 0) return
      await delay(restMs, undefined, { signal, ref: false })
    }
  }
}
