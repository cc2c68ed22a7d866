/** How long a time of much demand is remembered. */
const MEMORY_MS = 10 * 60_000
/** In which a pool can't have been filled again. */
const BURST_MS = 2000
/** More at once than any pool is to hold. */
const MOST = 1000

/** How many have been asked for at about the same time, lately. */
export class Demand {
  #times: number[] = []

  /** @param now milliseconds of a clock that never goes back */
  note(now = performance.now()): void {
    this.#times.push(now)
    if (this.#times.length > MOST) this.#times.shift()
  }

  /** The most within two seconds, of the last ten minutes; 0 for none. */
  peak(now = performance.now()): number {
    this.#times = this.#times.filter((time) => now - time < MEMORY_MS)
    let [most, first] = [0, 0]
    for (const [last, time] of this.#times.entries()) {
      while (time - (this.#times[first] ?? time) >= BURST_MS) first++
      most = Math.max(most, last - first + 1)
    }
    return most
  }
}
