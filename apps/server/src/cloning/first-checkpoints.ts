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

/** Brings new clones to rest, one after the other, once their users have them already. One that is cut off is made when Postgres' own is due. */
export class FirstCheckpoints implements AsyncDisposable {
  readonly #options: FirstCheckpointsOptions
  readonly #turns = new InTurn()

  constructor(options: FirstCheckpointsOptions) {
    this.#options = options
  }

  add(id: string): void {
    void this.#turns.add((signal) => this.#make(id, signal))
  }

  async #make(id: string, signal: AbortSignal): Promise<void> {
    const { catalogue, provisioner, log, lull } = this.#options
    try {
      await lull.arrival(signal)
      const volumeId = catalogue.clones.get(id)?.volumeId
      if (volumeId) await provisioner.makeFirstCheckpoint(volumeId, { signal })
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
