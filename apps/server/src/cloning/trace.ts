import type { CloneStepName, CloneStepTime } from '@dblab/models'

/** What an operation is at, and how long it was at what it has done. */
export class Trace {
  readonly #done: CloneStepTime[] = []
  #name: CloneStepName
  #since: number

  /** @param since of `performance.now()` */
  constructor(first: CloneStepName, since = performance.now()) {
    this.#name = first
    this.#since = since
  }

  begin(name: CloneStepName): void {
    this.#end()
    this.#name = name
  }

  /** Ends the last step. */
  steps(): CloneStepTime[] {
    this.#end()
    return this.#done
  }

  #end(): void {
    const now = performance.now()
    this.#done.push({ name: this.#name, seconds: Math.round((now - this.#since) * 1000) / 1e6 })
    this.#since = now
  }
}
