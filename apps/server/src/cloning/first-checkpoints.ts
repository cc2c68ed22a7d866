import { isProvisionError, type Provisioner } from '@dblab/provision'
import type { Catalogue } from '../catalogue/catalogue.ts'
import { InTurn } from '../lab/background.ts'
import type { Lull } from '../lab/lull.ts'
import type { Logger } from '../log.ts'

export interface FirstCheckpointsOptions {
  catalogue: Catalogue
  provisioner: Provisioner
  log: Logger
  lull: Lull
}

/**
 * Brings new clones to rest, one after the other, once their users have them already. A checkpoint that is cut off is made when Postgres' own is
 * due; one that is to be thrown away needs none.
 */
export class FirstCheckpoints implements AsyncDisposable {
  readonly #options: FirstCheckpointsOptions
  readonly #turns = new InTurn()

  constructor(options: FirstCheckpointsOptions) {
    this.#options = options
  }

  /** @param handedOver it lets its user in by a role, and is to do so by name */
  add(id: string, { handedOver = false } = {}): void {
    void this.#turns.add((signal) => this.#make(id, handedOver, signal))
  }

  async #make(id: string, handedOver: boolean, signal: AbortSignal): Promise<void> {
    const { catalogue, provisioner, log, lull } = this.#options
    try {
      await lull.arrival(signal)
      const { volumeId, dbUsername, profile } = catalogue.clones.get(id) ?? {}
      if (!volumeId || dbUsername === undefined) return
      if (handedOver) await provisioner.admitByName(volumeId, dbUsername)
      if (profile !== 'test') await provisioner.makeFirstCheckpoint(volumeId, { signal })
    } catch (error) {
      if (signal.aborted) return
      // A clone may go, or be swapped, meanwhile; of one that does not answer, or finds no room, the monitor tells.
      if (isProvisionError(error)) log.debug('no first checkpoint', { clone: id, error: error.message })
      else log.error('no first checkpoint', { clone: id, error })
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#turns[Symbol.asyncDispose]()
  }
}
