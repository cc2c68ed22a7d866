import { failPoint, isProvisionError, type Provisioner } from '@dblab/provision'
import type { Catalogue } from '../catalogue/catalogue.ts'
import { refOf } from '../catalogue/snapshots.ts'
import type { Logger } from '../log.ts'

export interface GarbageOptions {
  catalogue: Catalogue
  provisioner: Pick<Provisioner, 'storage' | 'destroyVolume'>
  log: Logger
  /** Retires the snapshots of old generations, and says which. */
  retire?: () => string[]
  /** Awaited before each removal, unless somebody waits for the collection. */
  pause?: () => Promise<void>
}

type Removed = (id: string) => void

/**
 * Removes what was retired, as far as nothing stands on it: a clone's volume goes after the last snapshot of it, a scratch volume after
 * the snapshot that it was made for, an old base after its last snapshot. Old generations of data that nobody needs any more are retired
 * first. One thing goes after the other, and one collection runs at a time; all that are asked for meanwhile are one more behind it.
 */
export class GarbageCollector implements AsyncDisposable {
  readonly #options: GarbageOptions
  readonly #listeners: Removed[] = []
  /** What could not be removed when it was tried last. */
  readonly #stuck = new Set<string>()
  #running: Promise<void> | undefined
  #again: Promise<void> | undefined
  /** How many wait for a collection. */
  #awaited = 0
  #endPause: (() => void) | undefined
  #isClosing = false

  constructor(options: GarbageOptions) {
    this.#options = options
  }

  /** The listener is told of each volume and snapshot that is gone. */
  onRemoved(listener: Removed): void {
    this.#listeners.push(listener)
  }

  /** Resolves when everything that was retired before the call has been tried, which gives way to nothing. */
  async collect(): Promise<void> {
    this.#awaited++
    this.#endPause?.()
    try {
      await this.#collectBehind()
    } finally {
      this.#awaited--
    }
  }

  /** The same in the background, where creations come first. */
  collectSoon(): void {
    void this.#collectBehind().catch((error: unknown) =>
      this.#options.log.error('collecting garbage failed; it will be tried again', { error }),
    )
  }

  /** What goes as soon as it is its turn: not what stands for the sake of something else, nor what could not be removed. */
  due(): string[] {
    const { volumes, snapshots } = this.#options.catalogue
    return [...volumes.removable(), ...snapshots.removable()].map(({ id }) => id).filter((id) => !this.#stuck.has(id))
  }

  /** What is being removed is; the rest is the next start's. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosing = true
    this.#endPause?.()
    await Promise.allSettled([this.#running, this.#again])
  }

  #collectBehind(): Promise<void> {
    if (!this.#running) {
      this.#running = this.#collect().finally(() => {
        this.#running = undefined
      })
      return this.#running
    }
    const next = () => {
      this.#again = undefined
      return this.#collectBehind()
    }
    this.#again ??= this.#running.then(next, next)
    return this.#again
  }

  async #collect(): Promise<void> {
    this.#retireGenerations()
    let progress = true
    while (progress && !this.#isClosing) {
      this.#retireUnused()
      const removed = (await this.#removeSnapshots()) + (await this.#removeVolumes())
      progress = removed > 0
    }
  }

  #retireGenerations(): void {
    const { retire, log } = this.#options
    try {
      const retired = retire?.() ?? []
      if (retired.length > 0) log.info('old snapshots go', { snapshots: retired })
    } catch (error) {
      log.error('old snapshots could not be retired; it will be tried again', { error })
    }
  }

  /** What stands for the sake of snapshots alone, and has none left. A clone has its user, and a standby its source to follow. */
  #retireUnused(): void {
    const { catalogue, log } = this.#options
    const { volumes } = catalogue
    const base = volumes.base()?.id
    for (const { id } of volumes.unused()) {
      if (id === base) continue
      try {
        catalogue.evenIfFull(() => volumes.setState(id, 'retired'))
      } catch (error) {
        // Who waits for the collection has asked for something else, which is done.
        log.error('could not be retired; will be tried again', { id, error })
      }
    }
  }

  #removeSnapshots(): Promise<number> {
    const { catalogue, provisioner } = this.#options
    return this.#removeEach(catalogue.snapshots.removable(), async (snapshot) => {
      await provisioner.storage.destroySnapshot(refOf(snapshot))
      await failPoint('garbage.snapshot-destroyed')
      catalogue.evenIfFull(() => catalogue.snapshots.delete(snapshot.id))
    })
  }

  #removeVolumes(): Promise<number> {
    const { catalogue, provisioner } = this.#options
    return this.#removeEach(catalogue.volumes.removable(), async ({ id, role }) => {
      await provisioner.destroyVolume(id, { isClone: role === 'clone' || role === 'warm' })
      await failPoint('garbage.volume-destroyed')
      catalogue.evenIfFull(() => catalogue.volumes.delete(id))
    })
  }

  async #removeEach<T extends { id: string }>(items: T[], remove: (item: T) => Promise<void>): Promise<number> {
    let removed = 0
    for (const item of items) {
      await this.#giveWay()
      if (this.#isClosing) break
      try {
        await remove(item)
        removed++
        this.#stuck.delete(item.id)
        for (const listener of this.#listeners) listener(item.id)
      } catch (error) {
        this.#stuck.add(item.id)
        // In use: a later collection's turn. Anything else is the log's, and must not keep the others from going.
        if (!isProvisionError(error, 'IN_USE'))
          this.#options.log.error('could not be removed; will be tried again', { id: item.id, error })
      }
    }
    return removed
  }

  async #giveWay(): Promise<void> {
    const { pause } = this.#options
    if (!pause || this.#awaited > 0 || this.#isClosing) return
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#endPause = resolve
    void pause().then(resolve)
    await promise
  }
}
