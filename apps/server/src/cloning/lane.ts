import { Rounds } from './rounds.ts'

export interface Entrant {
  key: string
  /** In whose name, see `Rounds`: as many names as the lane was made for. */
  names: readonly string[]
  /** Who was asked to stop before its turn came has nothing to wait for: it goes on at once, without a place. */
  signal: AbortSignal
}

export interface Place extends Disposable {
  /** For its turn, which has come. */
  waited: boolean
}

interface Waiting {
  key: string
  wake: (place: Place | undefined) => void
}

const NO_PLACE: Place = { waited: false, [Symbol.dispose]: () => {} }

/** A number of places for work, for which those who ask take turns. */
export class Lane {
  readonly #places: () => number
  readonly #left: () => void
  readonly #waiting: Rounds<Waiting>
  /** Of all keys, until something waits that did not, or the other way round. */
  #positions: Map<string, number> | undefined
  #running = 0
  #open = true

  /**
   * @param places how many there are now; may be fewer than run
   * @param names how many names everybody has
   * @param left called whenever somebody has left a place, or the queue
   */
  constructor(places: () => number, { names, left = () => {} }: { names: number; left?: () => void }) {
    this.#places = places
    this.#waiting = new Rounds(names)
    this.#left = left
  }

  /** How many have a place. */
  get running(): number {
    return this.#running
  }

  get waiting(): number {
    return this.#waiting.size
  }

  /** True when who enters now has to wait. */
  get isFull(): boolean {
    return this.#running >= this.#places()
  }

  /** In line when this returns. Resolves with the place, to be left once; with undefined when the lane is closed. */
  async enter({ key, names, signal }: Entrant): Promise<Place | undefined> {
    if (!this.#open) return undefined
    if (signal.aborted) return NO_PLACE
    if (!this.isFull && this.waiting === 0) {
      this.#running++
      this.#waiting.passedBy(names)
      return this.#place(false)
    }
    const { promise, resolve } = Promise.withResolvers<Place | undefined>()
    const waiting = { key, wake: resolve }
    this.#waiting.add(waiting, names)
    this.#positions = undefined
    const giveUp = () => {
      if (!this.#waiting.remove(waiting, names)) return
      this.#positions = undefined
      resolve(NO_PLACE)
      this.#left()
    }
    signal.addEventListener('abort', giveUp)
    return promise.finally(() => signal.removeEventListener('abort', giveUp))
  }

  /** From 1 for who comes next, if nobody new comes; 0 for who does not wait. */
  position(key: string): number {
    return this.positions().get(key) ?? 0
  }

  /** The same of all who wait: counted anew when somebody has come or gone. */
  positions(): ReadonlyMap<string, number> {
    this.#positions ??= new Map([...this.#waiting].map((waiting, index) => [waiting.key, index + 1]))
    return this.#positions
  }

  /** Gives the places that are free to those who wait: to be called when there may be more than before. */
  fill(): void {
    while (!this.isFull) {
      const next = this.#waiting.take()
      if (!next) return
      this.#positions = undefined
      this.#running++
      next.wake(this.#place(true))
    }
  }

  close(): void {
    this.#open = false
    for (let next = this.#waiting.take(); next; next = this.#waiting.take()) next.wake(undefined)
    this.#positions = undefined
  }

  #place(waited: boolean): Place {
    return { waited, [Symbol.dispose]: () => this.#leave() }
  }

  /** The place goes straight to the next in line: nobody who comes in this moment takes it. */
  #leave(): void {
    this.#running--
    this.fill()
    this.#left()
  }
}
