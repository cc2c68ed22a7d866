import { ProvisionError } from '../errors.ts'

/**
 * Keeps calls that run at once from pulling the ground from under each other, within one process: what is being cloned or
 * snapshotted can't be destroyed meanwhile, and the other way round. On disk, labels say the same of what is finished.
 */
export class Claims {
  readonly #shared = new Map<string, number>()
  readonly #exclusive = new Set<string>()

  /** @throws ProvisionError IN_USE while it is being destroyed */
  share(name: string): Disposable {
    if (this.#exclusive.has(name)) throw new ProvisionError('IN_USE', `${name} is being destroyed`)
    this.#shared.set(name, (this.#shared.get(name) ?? 0) + 1)
    return {
      [Symbol.dispose]: () => {
        const left = (this.#shared.get(name) ?? 1) - 1
        if (left > 0) this.#shared.set(name, left)
        else this.#shared.delete(name)
      },
    }
  }

  /** @throws ProvisionError IN_USE while a call reads from it or destroys it */
  exclude(name: string): Disposable {
    if (this.#exclusive.has(name)) throw new ProvisionError('IN_USE', `${name} is being destroyed by another call`)
    if (this.#shared.has(name)) throw new ProvisionError('IN_USE', `${name} is being cloned or snapshotted`)
    this.#exclusive.add(name)
    return { [Symbol.dispose]: () => this.#exclusive.delete(name) }
  }
}
