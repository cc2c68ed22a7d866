/** In how many parts all are felt: hundreds in one go, as short as each of them is, would keep requests waiting. */
export const PULSE_PARTS = 10

/** Which process each clone's Postgres is. */
export class Pulses {
  readonly #pids = new Map<string, number | undefined>()
  /** What is left of them until each has had its turn. */
  #left = this.#pids.entries()

  has(id: string): boolean {
    return this.#pids.has(id)
  }

  set(id: string, pid: number | undefined): void {
    this.#pids.set(id, pid)
  }

  delete(id: string): void {
    this.#pids.delete(id)
  }

  /** Those whose turn it is: each has one in `PULSE_PARTS` calls, and those that come meanwhile in as many again. */
  nextPart(): [id: string, pid: number | undefined][] {
    const part: [string, number | undefined][] = []
    for (let missing = Math.ceil(this.#pids.size / PULSE_PARTS); missing > 0; missing--) {
      let next = this.#left.next()
      if (next.done) {
        this.#left = this.#pids.entries()
        next = this.#left.next()
      }
      if (!next.done) part.push(next.value)
    }
    return part
  }
}
