import type { Provisioner } from '@dblab/provision'
import type { Catalogue } from '../catalogue/catalogue.ts'
import type { Lull } from '../lab/lull.ts'
import type { Logger } from '../log.ts'
import { keepPort } from './keep-port.ts'

export interface ReplacedOptions {
  catalogue: Catalogue
  provisioner: Provisioner
  log: Logger
  lull: Lull
}

interface Leaving {
  cloneId: string
  hurry: AbortController
  gone: Promise<void>
}

/**
 * The servers that clones had before a reset. They stand still, and answer nobody; to end them takes more of the processors than the reset did, so
 * that it waits until nobody else needs those, or somebody the port.
 */
export class ReplacedServers implements AsyncDisposable {
  readonly #options: ReplacedOptions
  readonly #leaving = new Set<Leaving>()

  constructor(options: ReplacedOptions) {
    this.#options = options
  }

  /** @param then what waits for its end; must not throw */
  add(cloneId: string, volumeId: string, then: () => void): void {
    const hurry = new AbortController()
    const gone = this.#end(cloneId, volumeId, hurry.signal).then(() => {
      this.#leaving.delete(leaving)
      then()
    })
    const leaving = { cloneId, hurry, gone }
    this.#leaving.add(leaving)
  }

  /** Resolves once none of a clone's is left, which is at once: to be awaited by who starts something at the clone's port, or gives it away. */
  async gone(cloneId: string): Promise<void> {
    await this.#hurry([...this.#leaving].filter((each) => each.cloneId === cloneId))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#hurry([...this.#leaving])
  }

  async #hurry(leaving: readonly Leaving[]): Promise<void> {
    for (const { hurry } of leaving) hurry.abort()
    await Promise.all(leaving.map(({ gone }) => gone))
  }

  async #end(cloneId: string, volumeId: string, hurry: AbortSignal): Promise<void> {
    const { catalogue, provisioner, log, lull } = this.#options
    try {
      await lull.arrival(hurry).catch((error: unknown) => {
        if (!hurry.aborted) throw error
      })
      // Its volume may stand for long, for the sake of its snapshots.
      await provisioner.runtime.remove(volumeId)
      const clone = catalogue.clones.get(cloneId)
      // Perhaps nobody is bound to it any more: now it can be held.
      if (clone) await keepPort(clone, this.#options)
    } catch (error) {
      log.error('the server from before a reset has not ended; it will be tried again', { clone: cloneId, error })
    }
  }
}
