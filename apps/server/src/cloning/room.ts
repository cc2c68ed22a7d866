import type { StorageDriver } from '@dblab/provision'
import type { Catalogue } from '../catalogue/catalogue.ts'
import { isOutOfSpace } from '../errors.ts'
import type { Logger } from '../log.ts'
import type { DiskMonitor } from '../status/disk.ts'
import type { GarbageCollector } from './garbage.ts'

export interface RoomOptions {
  catalogue: Pick<Catalogue, 'clones' | 'volumes'>
  storage: Pick<StorageDriver, 'capabilities' | 'untilFreed'>
  disk: DiskMonitor
  garbage: Pick<GarbageCollector, 'collect' | 'due' | 'onRemoved'>
  log: Logger
  /** Called when there is more room than before. */
  freed: () => void
}

/** Whoever waits for an answer is told no after that. */
const PATIENCE_MS = 10_000
/** For what was promised already. */
const LONG_PATIENCE_MS = 2 * 60_000
/** A deletion that fails tells nobody that waits for its room. */
const LOOK_AGAIN_MS = 500

/** To wait until the storage has freed everything makes it write: once for many that go one after the other. */
const CALM_MS = 1000
const LONGEST_CALM_MS = 10_000

/**
 * The room that clones take and leave. Who deletes a clone hears of it before its data is removed, and the storage may free that later still:
 * all the while it is known how much is coming back, and what needs the room waits for it.
 */
export class Room implements AsyncDisposable {
  readonly #options: RoomOptions
  readonly #closing = new AbortController()
  /** Bytes that volumes held alone when their clones gave them up. */
  readonly #sizes = new Map<string, number>()
  /** The same of what is removed, and may not be free yet. */
  readonly #released = new Map<string, number>()
  #releasedAt = 0
  /** For room. */
  readonly #waiting = new Set<() => void>()
  #freeing: Promise<void> | undefined
  #isFreeing = false
  #endCalm: (() => void) | undefined

  constructor(options: RoomOptions) {
    this.#options = options
    options.garbage.onRemoved((id) => this.#removed(id))
  }

  /**
   * Bytes of what was deleted, as they were measured last, that the pool does not have back yet. Less than that is known where a clone was not
   * measured, and nothing where the driver can't tell a clone's own bytes.
   */
  get comingBytes(): number {
    const { capabilities } = this.#options.storage
    if (!capabilities.ownBytes && capabilities.sharesBlocks) return 0
    const due = this.#options.garbage.due().map((id) => this.#sizes.get(id) ?? 0)
    return [...due, ...this.#released.values()].reduce((sum, bytes) => sum + bytes, this.#deleting.bytes)
  }

  /** A clone has given up its volume, which was measured to hold so many bytes alone. */
  retired(volumeId: string, bytes: number): void {
    this.#sizes.set(volumeId, bytes)
  }

  /** For what takes room at once. @throws LabError NOT_ENOUGH_DISK_SPACE */
  requireSpace(): Promise<void> {
    return this.#waitingFor(() => this.#options.disk.requireSpace(), PATIENCE_MS)
  }

  /** For what takes room when its turn comes, by `takeSpace`: what is coming back counts. @throws LabError NOT_ENOUGH_DISK_SPACE */
  requireSpaceInSight(): Promise<void> {
    return this.#waitingFor(() => this.#options.disk.requireSpace(this.comingBytes), PATIENCE_MS)
  }

  /** Until disposed of. @throws LabError NOT_ENOUGH_DISK_SPACE, or the signal's reason */
  takeSpace(bytes: number, signal?: AbortSignal): Promise<Disposable> {
    return this.#waitingFor(() => this.#options.disk.takeSpace(bytes), LONG_PATIENCE_MS, signal)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing.abort()
    this.#endCalm?.()
    for (const goOn of this.#waiting) goOn()
    await this.#freeing
  }

  /** Where there is too little room, the work is done again whenever some has come back, as long as more is coming. */
  async #waitingFor<T>(work: () => Promise<T>, patienceMs: number, signal?: AbortSignal): Promise<T> {
    const deadline = Date.now() + patienceMs
    for (;;) {
      try {
        return await work()
      } catch (error) {
        const leftMs = deadline - Date.now()
        if (!isOutOfSpace(error) || leftMs <= 0 || !this.#isComing || this.#closing.signal.aborted) throw error
        await this.#hurry(Math.min(leftMs, LOOK_AGAIN_MS), signal)
      }
    }
  }

  get #deleting(): { count: number; bytes: number } {
    return this.#options.catalogue.clones.leaving()
  }

  get #isComing(): boolean {
    return this.#released.size > 0 || this.#options.garbage.due().length > 0 || this.#deleting.count > 0
  }

  /** Has what is coming back come now. Resolves when some has or none is coming any more, and after this time in any case. */
  async #hurry(longestMs: number, signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted()
    const { promise, resolve } = Promise.withResolvers<void>()
    const goOn = () => resolve()
    const latest = setTimeout(goOn, longestMs).unref()
    signal?.addEventListener('abort', goOn)
    this.#waiting.add(goOn)
    this.#endCalm?.()
    void this.#collect().then(() => this.#isComing || goOn())
    await promise
    this.#waiting.delete(goOn)
    signal?.removeEventListener('abort', goOn)
    clearTimeout(latest)
    signal?.throwIfAborted()
  }

  async #collect(): Promise<void> {
    const { garbage, log } = this.#options
    try {
      await garbage.collect()
    } catch (error) {
      log.error('collecting garbage failed; it will be tried again', { error })
    }
  }

  #removed(id: string): void {
    this.#released.set(id, this.#sizes.get(id) ?? 0)
    this.#sizes.delete(id)
    this.#releasedAt = Date.now()
    if (!this.#isFreeing) this.#freeing = this.#free()
  }

  async #free(): Promise<void> {
    this.#isFreeing = true
    while (this.#released.size > 0 && !this.#closing.signal.aborted) {
      await this.#calm()
      const ids = [...this.#released.keys()]
      await this.#untilFreed()
      await this.#options.disk.readAnew()
      for (const id of ids) this.#released.delete(id)
      this.#options.freed()
      for (const goOn of this.#waiting) goOn()
    }
    this.#isFreeing = false
  }

  async #untilFreed(): Promise<void> {
    const { storage, log } = this.#options
    const { signal } = this.#closing
    try {
      await storage.untilFreed(signal)
    } catch (error) {
      if (!signal.aborted) log.warn('the storage does not say whether what was removed is free', { error })
    }
  }

  /** Until nothing was removed for a moment, unless somebody waits. */
  async #calm(): Promise<void> {
    const latest = Date.now() + LONGEST_CALM_MS
    for (;;) {
      const leftMs = Math.min(this.#releasedAt + CALM_MS, latest) - Date.now()
      if (leftMs <= 0 || this.#waiting.size > 0 || this.#closing.signal.aborted) return
      const { promise, resolve } = Promise.withResolvers<void>()
      this.#endCalm = resolve
      const timer = setTimeout(resolve, leftMs).unref()
      await promise
      clearTimeout(timer)
    }
  }
}
