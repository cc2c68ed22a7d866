interface Queue<T> extends Iterable<T> {
  readonly size: number
  add(item: T, names: readonly string[]): void
  take(): T | undefined
  remove(item: T, names: readonly string[]): boolean
  passedBy(names: readonly string[]): void
}

/** In the order of their coming. */
class Fifo<T> implements Queue<T> {
  readonly #items: T[] = []

  get size(): number {
    return this.#items.length
  }

  add(item: T): void {
    this.#items.push(item)
  }

  take(): T | undefined {
    return this.#items.shift()
  }

  remove(item: T): boolean {
    const at = this.#items.indexOf(item)
    if (at >= 0) this.#items.splice(at, 1)
    return at >= 0
  }

  passedBy(): void {}

  [Symbol.iterator](): Iterator<T> {
    return this.#items.values()
  }
}

/**
 * A queue in which those who ask take turns: in each round everybody who has something waiting gets one of it, in the order of their coming.
 * Who comes new still has a turn in the round that is under way; who had one waits for the next, also when nothing of theirs waited in
 * between. So of two that ask, one with hundreds delays the other by one at most, and one who comes again and again gets no more than that.
 *
 * Everything waits under a path of names, each level of which takes turns among those below the one before: a path of two gives each first
 * name as much as the other, whatever the number of second ones below it. All paths of one queue are of the same length.
 *
 * Iterating tells in which order what waits will be taken if nothing new comes, at a cost that grows with their number.
 */
export class Rounds<T> implements Queue<T> {
  readonly #levels: number
  /** Those who have a turn in this round still, the next to be taken first. */
  #now = new Map<string, Queue<T>>()
  #next = new Map<string, Queue<T>>()
  /** Those who had theirs in this round, and have nothing waiting. */
  #done = new Map<string, Queue<T>>()
  #size = 0

  /** @param levels how many names a path has */
  constructor(levels: number) {
    this.#levels = levels
  }

  get size(): number {
    return this.#size
  }

  add(item: T, [name = '', ...rest]: readonly string[]): void {
    this.#size++
    let queue = this.#now.get(name) ?? this.#next.get(name)
    if (!queue) {
      const served = this.#done.get(name)
      this.#done.delete(name)
      queue = served ?? this.#empty()
      const round = served ? this.#next : this.#now
      round.set(name, queue)
    }
    queue.add(item, rest)
  }

  take(): T | undefined {
    if (this.#now.size === 0) this.#beginRound()
    const [first] = this.#now
    if (!first) return undefined
    const [name, queue] = first
    const item = queue.take()
    this.#size--
    this.#now.delete(name)
    if (queue.size > 0) this.#next.set(name, queue)
    else this.#done.set(name, queue)
    return item
  }

  /** False when it does not wait, or not under these names. */
  remove(item: T, [name = '', ...rest]: readonly string[]): boolean {
    const round = this.#now.has(name) ? this.#now : this.#next
    const queue = round.get(name)
    if (!queue?.remove(item, rest)) return false
    this.#size--
    if (queue.size === 0) {
      round.delete(name)
      if (round === this.#next) this.#done.set(name, queue)
    }
    return true
  }

  /** One of these names has had its turn without waiting, since nothing waited: of those who come next, others go before it. */
  passedBy([name = '', ...rest]: readonly string[]): void {
    const queue = this.#done.get(name) ?? this.#empty()
    queue.passedBy(rest)
    // Of the turn before this one nothing is kept, else it would be known for ever of all who ever asked.
    this.#done = new Map([[name, queue]])
  }

  *[Symbol.iterator](): Generator<T> {
    const begin = (queue: Queue<T>) => ({ left: queue.size, items: queue[Symbol.iterator]() })
    let round = [...this.#now.values()].map(begin)
    let next = [...this.#next.values()].map(begin)
    while (round.length > 0 || next.length > 0) {
      for (const queue of round) {
        const { done, value } = queue.items.next()
        if (!done) yield value
        if (--queue.left > 0) next.push(queue)
      }
      round = next
      next = []
    }
  }

  #beginRound(): void {
    this.#now = this.#next
    this.#next = new Map()
    this.#done = new Map()
  }

  #empty(): Queue<T> {
    return this.#levels > 1 ? new Rounds(this.#levels - 1) : new Fifo()
  }
}
