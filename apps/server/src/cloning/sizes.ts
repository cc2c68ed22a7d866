import { isProvisionError, type Provisioner } from '@dblab/provision'
import type { Catalogue } from '../catalogue/catalogue.ts'
import { InTurn } from '../lab/background.ts'
import type { Lull } from '../lab/lull.ts'
import type { Logger } from '../log.ts'

export interface CloneSizesOptions {
  catalogue: Catalogue
  provisioner: Provisioner
  log: Logger
  lull: Lull
}

/**
 * How much clones hold. Read in the background, one after the other: what a reading takes grows with the data, and neither an operation nor
 * a stop of the server is to wait for it. A reading that is under way when this is disposed of is cut off.
 */
export class CloneSizes implements AsyncDisposable {
  /** By clone: what bounds its own bytes, as far as that was measured. */
  readonly quotas = new Map<string, number>()
  readonly #options: CloneSizesOptions
  readonly #turns = new InTurn()

  constructor(options: CloneSizesOptions) {
    this.#options = options
  }

  /** Resolves once the clone was measured, behind all that were asked for before. Never rejects. */
  measure(id: string): Promise<void> {
    return this.#turns.add((signal) => this.#measure(id, signal))
  }

  forget(id: string): void {
    this.quotas.delete(id)
  }

  async #measure(id: string, signal: AbortSignal): Promise<void> {
    const { catalogue, provisioner, log, lull } = this.#options
    try {
      await lull.arrival(signal)
      const before = catalogue.clones.get(id)
      if (!before || before.volumeId === null) return
      const { ownBytes, quotaBytes } = await provisioner.storage.volumeUsage(before.volumeId, signal)
      const now = catalogue.clones.get(id)
      if (now && quotaBytes !== undefined) this.quotas.set(id, quotaBytes)
      else this.quotas.delete(id)
      if (now?.volumeId === before.volumeId && now.size !== ownBytes) catalogue.clones.update(id, { size: ownBytes })
    } catch (error) {
      if (signal.aborted) return
      // A clone may go, or be swapped, while it is measured.
      if (isProvisionError(error)) log.debug('could not measure a clone', { clone: id, error: error.message })
      else log.error('could not measure a clone', { clone: id, error })
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#turns[Symbol.asyncDispose]()
  }
}
