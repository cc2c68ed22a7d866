/** Work on one key runs one after the other, in the order asked; work on different keys side by side. */
export class Turns {
  readonly #last = new Map<string, Promise<void>>()

  async take<T>(key: string, work: () => Promise<T>): Promise<T> {
    const before = this.#last.get(key)
    const { promise: done, resolve } = Promise.withResolvers<void>()
    this.#last.set(key, done)
    try {
      await before
      return await work()
    } finally {
      resolve()
      if (this.#last.get(key) === done) this.#last.delete(key)
    }
  }
}
