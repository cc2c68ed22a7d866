import { isProvisionError, type Provisioner } from '@dblab/provision'
import type { Catalogue } from '../catalogue/catalogue.ts'
import { InTurn } from '../lab/background.ts'
import type { Lull } from '../lab/lull.ts'
import type { Logger } from '../log.ts'

export interface CloneChoresOptions {
  catalogue: Catalogue
  provisioner: Provisioner
  log: Logger
  lull: Lull
}

/**
 * What is left to do for a new clone once its user has it: it is brought to rest by a checkpoint, and its user let in by name. What is cut
 * off has no consequence but a little work later: Postgres' own checkpoint is due at some time, and a role lets the user in until then.
 */
export class CloneChores implements AsyncDisposable {
  readonly #options: CloneChoresOptions
  readonly #turns = new InTurn()

  constructor(options: CloneChoresOptions) {
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
