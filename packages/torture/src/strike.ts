import type { Blow } from './history.ts'

/** SIGKILL from outside on its way: it comes at its time, whatever the server is doing then. A blow from inside has none. */
export class Strike implements Disposable {
  hasStruck = false
  readonly #timer: NodeJS.Timeout | undefined
  #isToCome = false

  /** @param kill tells whether there was anything to kill */
  constructor(blow: Blow, kill: () => boolean) {
    if (blow.from !== 'outside') return
    this.#isToCome = true
    this.#timer = setTimeout(() => {
      this.#isToCome = false
      this.hasStruck = kill()
    }, blow.afterMs)
  }

  get isToCome(): boolean {
    return this.#isToCome
  }

  [Symbol.dispose](): void {
    this.#isToCome = false
    clearTimeout(this.#timer)
  }
}
