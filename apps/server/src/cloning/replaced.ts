import { setImmediate } from 'node:timers/promises'
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
  volumeId: string
  hurry: AbortController
  /** Resolves to whether it has ended. Never rejects. */
  ended: Promise<boolean>
}

/** Each holds memory, and a port. */
const AT_MOST = 4

/**
 * The servers that clones had before a reset. They stand still, and answer nobody; to end them takes more of the processors than the reset did, so
 * that it waits until nobody else needs those, or somebody the port.
 */
export class ReplacedServers implements AsyncDisposable {
  readonly #options: ReplacedOptions
  /** Oldest first. */
  readonly #leaving = new Set<Leaving>()

  constructor(options: ReplacedOptions) {
    this.#options = options
  }

  /** @param then what waits for its end; must not throw */
  add(cloneId: string, volumeId: string, then: () => void): void {
    const hurry = new AbortController()
    const leaving: Leaving = { cloneId, volumeId, hurry, ended: this.#hangUpAndEnd(cloneId, volumeId, hurry.signal) }
    void leaving.ended.then((hasEnded) => {
      // What has not is tried again once somebody wants its port, and at the next start.
      if (hasEnded) this.#leaving.delete(leaving)
      then()
    })
    this.#leaving.add(leaving)
    if (this.#leaving.size > AT_MOST) [...this.#leaving].find((each) => !each.hurry.signal.aborted)?.hurry.abort()
  }

  /** Resolves once none of a clone's is left, which is at once: to be awaited by who starts something at the clone's port, or gives it away. */
  async gone(cloneId: string): Promise<void> {
    await this.#hurry([...this.#leaving].filter((each) => each.cloneId === cloneId))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#hurry([...this.#leaving])
  }

  async #hurry(all: readonly Leaving[]): Promise<void> {
    for (const { hurry } of all) hurry.abort()
    await Promise.all(
      all.map(async (leaving) => {
        const { cloneId, volumeId, ended } = leaving
        if ((await ended) || (await this.#end(cloneId, volumeId))) this.#leaving.delete(leaving)
      }),
    )
  }

  async #hangUpAndEnd(cloneId: string, volumeId: string, hurry: AbortSignal): Promise<boolean> {
    const { provisioner, log, lull } = this.#options
    // The answer first, which says that the new data is there.
    await setImmediate()
    try {
      await provisioner.ports.hangUp(volumeId)
    } catch (error) {
      log.warn('sessions from before a reset end with their server only', { clone: cloneId, error })
    }
    await lull.arrival(hurry).catch((error: unknown) => {
      if (!hurry.aborted) log.error('nobody can tell when the processors are free', { error })
    })
    return this.#end(cloneId, volumeId)
  }

  async #end(cloneId: string, volumeId: string): Promise<boolean> {
    const { catalogue, provisioner, log } = this.#options
    try {
      // Its volume may stand for long, for the sake of its snapshots.
      await provisioner.runtime.remove(volumeId)
      const clone = catalogue.clones.get(cloneId)
      // Perhaps nobody is bound to its port any more, and now it can be held. The next reset may have given that away already, and does this at its end.
      if (clone?.status === 'OK') await keepPort(clone, this.#options)
      return true
    } catch (error) {
      log.error('the server from before a reset has not ended; it will be tried again', { clone: cloneId, error })
      return false
    }
  }
}
