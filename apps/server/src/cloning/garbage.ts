import { setTimeout as delay } from 'node:timers/promises'
import { failPoint, isProvisionError, type Provisioner } from '@dblab/provision'
import type { Catalogue } from '../catalogue/catalogue.ts'
import { refOf } from '../catalogue/snapshots.ts'
import type { VolumeRecord } from '../catalogue/volumes.ts'
import { isOutOfSpace } from '../errors.ts'
import type { Logger } from '../log.ts'

/** Trees of files go one by one: those of a large clone take longer than anybody should wait for. */
const PATIENCE_MS = 10_000

/**
 * Removes what was retired, as far as nothing stands on it: a clone's volume goes after the last snapshot of it, a scratch volume after
 * the snapshot that it was made for, an old base after its last snapshot. Old generations of data that nobody needs any more are retired
 * first. One collection runs at a time; one that is asked for meanwhile runs after it.
 */
export class GarbageCollector {
  readonly #catalogue: Catalogue
  readonly #provisioner: Provisioner
  readonly #log: Logger
  readonly #retire: () => string[]
  #running: Promise<void> | undefined
  #again: Promise<void> | undefined

  /** @param retire retires the snapshots of old generations, and says which */
  constructor(catalogue: Catalogue, provisioner: Provisioner, log: Logger, retire: () => string[] = () => []) {
    this.#catalogue = catalogue
    this.#provisioner = provisioner
    this.#log = log
    this.#retire = retire
  }

  /** Resolves when everything that was retired before the call has been tried. */
  collect(): Promise<void> {
    if (!this.#running) {
      this.#running = this.#collect().finally(() => {
        this.#running = undefined
      })
      return this.#running
    }
    const next = () => {
      this.#again = undefined
      return this.collect()
    }
    this.#again ??= this.#running.then(next, next)
    return this.#again
  }

  /**
   * Does what takes space. Where there is too little, it is done again once what was deleted is gone: who deletes a clone hears of it before
   * its data is removed.
   */
  async makingRoomFor<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work()
    } catch (error) {
      if (!isOutOfSpace(error) || !this.#isDue()) throw error
      await Promise.race([this.collect(), delay(PATIENCE_MS, undefined, { ref: false })])
      return work()
    }
  }

  #isDue(): boolean {
    const { volumes, snapshots } = this.#catalogue
    return [...volumes.list(), ...snapshots.list()].some(({ state }) => state === 'retired')
  }

  async #collect(): Promise<void> {
    this.#retireGenerations()
    let progress = true
    while (progress) {
      this.#retireUnused()
      const removed = [...(await this.#removeSnapshots()), ...(await this.#removeVolumes())]
      progress = removed.length > 0
    }
  }

  #retireGenerations(): void {
    try {
      const retired = this.#retire()
      if (retired.length > 0) this.#log.info('old snapshots go', { snapshots: retired })
    } catch (error) {
      this.#log.error('old snapshots could not be retired; it will be tried again', { error })
    }
  }

  /** What stands for the sake of snapshots alone, and has none left. */
  #retireUnused(): void {
    const { volumes, snapshots } = this.#catalogue
    const used = new Set(snapshots.list().map((snapshot) => snapshot.volumeId))
    const base = volumes.base()?.id
    for (const volume of volumes.list()) {
      if (volume.state !== 'live' || !standsForSnapshots(volume) || volume.id === base || used.has(volume.id)) continue
      try {
        this.#catalogue.evenIfFull(() => volumes.setState(volume.id, 'retired'))
      } catch (error) {
        // Who waits for the collection has asked for something else, which is done.
        this.#log.error('could not be retired; will be tried again', { id: volume.id, error })
      }
    }
  }

  async #removeSnapshots(): Promise<string[]> {
    const origins = new Set(this.#catalogue.volumes.list().map((volume) => volume.origin))
    const retired = this.#catalogue.snapshots
      .list()
      .filter((snapshot) => snapshot.state === 'retired' && !origins.has(snapshot.id))
    return this.#removeEach(retired, async (snapshot) => {
      await this.#provisioner.storage.destroySnapshot(refOf(snapshot))
      await failPoint('garbage.snapshot-destroyed')
      this.#catalogue.evenIfFull(() => this.#catalogue.snapshots.delete(snapshot.id))
    })
  }

  async #removeVolumes(): Promise<string[]> {
    const used = new Set(this.#catalogue.snapshots.list().map((snapshot) => snapshot.volumeId))
    const retired = this.#catalogue.volumes
      .list()
      .filter((volume) => volume.state === 'retired' && !used.has(volume.id))
    return this.#removeEach(retired, async (volume) => {
      await this.#provisioner.destroyVolume(volume.id)
      await failPoint('garbage.volume-destroyed')
      this.#catalogue.evenIfFull(() => this.#catalogue.volumes.delete(volume.id))
    })
  }

  async #removeEach<T extends { id: string }>(items: T[], remove: (item: T) => Promise<void>): Promise<string[]> {
    const removed: string[] = []
    for (const item of items) {
      try {
        await remove(item)
        removed.push(item.id)
      } catch (error) {
        // In use: a later collection's turn. Anything else is the log's, and must not keep the others from going.
        if (!isProvisionError(error, 'IN_USE'))
          this.#log.error('could not be removed; will be tried again', { id: item.id, error })
      }
    }
    return removed
  }
}

/** A clone has its user, and a standby its source to follow. */
function standsForSnapshots({ role }: VolumeRecord): boolean {
  return role === 'base' || role === 'scratch'
}
