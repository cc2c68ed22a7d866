/** Long enough to even out what comes in pieces, short enough to follow a source that slows down. */
const WINDOW_MS = 30_000

/** How fast something goes, over the last seconds. */
export class Rate {
  readonly #samples: { at: number; bytes: number }[] = []

  /** @param now milliseconds of any clock that only goes forward */
  of(doneBytes: number, totalBytes: number, now = performance.now()): { bytesPerSecond: number; secondsLeft: number } {
    this.#samples.push({ at: now, bytes: doneBytes })
    while (this.#samples.length > 2 && now - (this.#samples[1]?.at ?? now) >= WINDOW_MS) this.#samples.shift()
    const oldest = this.#samples[0] ?? { at: now, bytes: doneBytes }
    const seconds = (now - oldest.at) / 1000
    const bytesPerSecond = seconds > 0 ? Math.max(0, Math.round((doneBytes - oldest.bytes) / seconds)) : 0
    const left = Math.max(0, totalBytes - doneBytes)
    return { bytesPerSecond, secondsLeft: bytesPerSecond > 0 ? Math.ceil(left / bytesPerSecond) : 0 }
  }
}
