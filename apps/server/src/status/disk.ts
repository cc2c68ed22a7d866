import type { Disk, Warning } from '@dblab/models'
import { isProvisionError, type PoolUsage, type StorageDriver } from '@dblab/provision'
import { explainFailure } from '../cloning/explain.ts'
import { LabError } from '../errors.ts'
import type { Logger } from '../log.ts'

export interface DiskThresholds {
  /** Free space below this share of the pool is a WARNING. */
  lowFreePercent: number
  /** Below this, nothing that takes space begins. */
  criticalFreePercent: number
}

/** How old a reading may be that new work is judged by: within this time even a fast writer fills little. */
const FRESH_MS = 1000

/** What the pool has left: read in the background, so that an answer never waits for the storage, and anew for work that takes space. */
export class DiskMonitor {
  readonly #storage: Pick<StorageDriver, 'usage' | 'freeBytes'>
  readonly #thresholds: DiskThresholds
  readonly #log: Logger
  /** Why it could not be read the last time. */
  #failure: string | undefined
  #latest: { usage: PoolUsage; at: Date } | undefined
  #reading: Promise<void> | undefined
  /** By work under way, of which a reading may show a part or nothing yet. */
  #takenBytes = 0
  /** Work has ended of which the latest reading may show nothing. */
  #isOutdated = false

  constructor(storage: Pick<StorageDriver, 'usage' | 'freeBytes'>, thresholds: DiskThresholds, log: Logger) {
    this.#storage = storage
    this.#thresholds = thresholds
    this.#log = log
  }

  /** Reads it anew. What was known stays, with its age, when the storage does not answer. */
  refresh(): Promise<void> {
    this.#reading ??= this.#read().finally(() => {
      this.#reading = undefined
    })
    return this.#reading
  }

  async #read(): Promise<void> {
    this.#isOutdated = false
    try {
      this.#latest = { usage: await this.#storage.usage(), at: new Date() }
      this.#failure = undefined
    } catch (error) {
      this.#isOutdated = true
      this.#failure = explainFailure(error)
      this.#log.error('the pool does not say how full it is', { error })
    }
  }

  /** What is free, and no more: it takes no program. Where it can't be read, the whole reading says why. */
  async #readFree(): Promise<void> {
    const latest = this.#latest
    try {
      const freeBytes = await this.#storage.freeBytes()
      if (latest && this.#latest === latest) this.#latest = { ...latest, usage: { ...latest.usage, freeBytes } }
    } catch (error) {
      if (!isProvisionError(error)) throw error
      this.#isOutdated = true
    }
  }

  get usage(): PoolUsage | undefined {
    return this.#latest?.usage
  }

  view(): Omit<Disk, 'freeing'> {
    const { usage, at } = this.#latest ?? {}
    return {
      size: usage?.sizeBytes ?? 0,
      free: usage?.freeBytes ?? 0,
      used: usage?.usedBytes ?? 0,
      updatedAt: at?.toISOString() ?? '',
    }
  }

  /** By a reading that begins now: there is more than before. */
  async readAnew(): Promise<void> {
    this.#isOutdated = true
    await this.#reading
    await this.refresh()
  }

  /**
   * By a reading that is fresh, so that neither a burst of creations nor a clone that writes fast goes past it.
   *
   * @param comingBytes of what is being removed, for what needs no room before that is gone
   * @throws LabError NOT_ENOUGH_DISK_SPACE
   */
  async requireSpace(comingBytes = 0): Promise<void> {
    await this.#beFresh(-comingBytes)
    this.#requireFree(-comingBytes)
  }

  /**
   * The same for work that is known to take so much at once: the critical share must be free beyond it, and beyond what others have
   * taken. To be disposed of when the work is done, and what it took can be read.
   */
  async takeSpace(bytes: number): Promise<Disposable> {
    await this.#beFresh(bytes)
    // In one go with the taking: of two that waited for the same reading, the second is judged with the first.
    this.#requireFree(bytes)
    this.#takenBytes += bytes
    return {
      [Symbol.dispose]: () => {
        this.#takenBytes -= bytes
        if (bytes > 0) this.#isOutdated = true
      },
    }
  }

  /** Sees to a reading that new work may be judged by. Nothing is refused by an earlier one: space may have come back since. */
  async #beFresh(bytes: number): Promise<void> {
    const age = Date.now() - (this.#latest?.at.getTime() ?? 0)
    if (this.#latest && age > FRESH_MS && !this.#isOutdated) await this.#readFree()
    if (this.#latest && !this.#isOutdated && this.#isEnough(this.#freePercentBeyond(bytes))) return
    // One that is under way may have begun before the space was taken, or came back; and work may end while it is read.
    do {
      await this.#reading
      await this.refresh()
    } while (this.#isOutdated && this.#failure === undefined)
  }

  #requireFree(bytes: number): void {
    const free = this.#freePercentBeyond(bytes)
    if (free === undefined || this.#isEnough(free)) return
    const when =
      bytes > 0 ? 'would be free once it is made' : bytes < 0 ? 'will be free once what is deleted is gone' : 'is free'
    throw new LabError(
      'NOT_ENOUGH_DISK_SPACE',
      `${free.toFixed(1)} % of the pool ${when}, ${this.#thresholds.criticalFreePercent} % must be`,
    )
  }

  #isEnough(freePercent: number | undefined): boolean {
    return freePercent === undefined || freePercent >= this.#thresholds.criticalFreePercent
  }

  #freePercentBeyond(bytes: number): number | undefined {
    return this.#freePercent(bytes + this.#takenBytes)
  }

  warnings(): Warning[] {
    const usage = this.usage
    const free = this.#freePercent()
    if (!usage || free === undefined || this.#failure !== undefined) {
      return [
        {
          code: 'POOL_DEGRADED',
          message: ['The pool does not say how full it is', this.#failure].filter(Boolean).join(': '),
          hint: "See the server's log, and the storage's own tools",
        },
      ]
    }
    const warnings: Warning[] = []
    const hint = 'Stop idle clones, change snapshot policy or increase disk size'
    const space = `${free.toFixed(1)} % of the pool is free`
    if (free < this.#thresholds.criticalFreePercent) {
      warnings.push({ code: 'DISK_SPACE_CRITICAL', message: `${space}: new clones and snapshots are refused`, hint })
    } else if (free < this.#thresholds.lowFreePercent) {
      warnings.push({ code: 'DISK_SPACE_LOW', message: space, hint })
    }
    if (usage.health !== 'OK') {
      warnings.push({
        code: 'POOL_DEGRADED',
        message: `The pool is ${usage.health}: ${usage.healthDetail}`,
        hint: "Repair it with the storage's own tools; take a copy of what matters first",
      })
    }
    return warnings
  }

  #freePercent(lessBytes = 0): number | undefined {
    const usage = this.usage
    return usage && usage.sizeBytes > 0 ? ((usage.freeBytes - lessBytes) / usage.sizeBytes) * 100 : undefined
  }
}
