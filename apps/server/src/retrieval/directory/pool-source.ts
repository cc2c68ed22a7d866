import { type ForeignTree, isProvisionError, ProvisionError, type StorageDriver } from '@dblab/provision'
import type { CheckedCluster, CheckedSource, Reporter, Source } from '../source.ts'

export interface PoolOptions {
  storage: StorageDriver
  /** A snapshot or subvolume, or what has several of them. */
  from: string
  /** How many of them, from the newest on, become generations. */
  most: number
  /** None but the newest that is older, since it would not be kept; undefined for no bound. */
  days: number | undefined
  /** The path of the data directory in each. */
  directory: string
  /** The main one; undefined for the first there is. */
  database: string | undefined
  anyLocale: boolean
}

const DAY_MS = 86_400_000

/** Data that the lab's own pool has already, in snapshots that others have made: cloned there, and not copied. */
export class PoolSource implements Source {
  readonly kind = 'directory'
  readonly description: string
  readonly #options: PoolOptions

  constructor(options: PoolOptions) {
    this.#options = options
    this.description = options.from
  }

  async check(reporter: Reporter): Promise<CheckedSource> {
    const { from, most, days = Number.POSITIVE_INFINITY } = this.#options
    const trees = await this.#list()
    const newest = trees.at(-1)
    if (!newest) throw nothing(from)
    const isKept = ({ createdAt }: ForeignTree) => Date.now() - createdAt.getTime() <= days * DAY_MS
    const before = trees.slice(-most).slice(0, -1).filter(isKept)
    reporter.info(`${from}: ${trees.length} there, the newest is ${newest.name} of ${newest.createdAt.toISOString()}`)
    return { ...this.#checked(newest), before: before.map((tree) => this.#checked(tree)) }
  }

  async #list(): Promise<ForeignTree[]> {
    const { storage, from } = this.#options
    try {
      return await storage.listForeign(from)
    } catch (error) {
      if (!isProvisionError(error, 'NOT_FOUND')) throw error
      throw nothing(from, error)
    }
  }

  #checked({ name, createdAt }: ForeignTree): CheckedCluster {
    const { directory, database, anyLocale } = this.#options
    return {
      ...{ brings: 'cluster', sample: false, database, anyLocale, neededBytes: 0 },
      message: `From ${name.split('/').at(-1)} of ${createdAt.toISOString()}`,
      foreign: { name, directory },
      takenAt: createdAt,
      copy: async () => undefined,
    }
  }
}

function nothing(from: string, cause?: unknown): ProvisionError {
  return new ProvisionError('NOT_FOUND', `the pool has no snapshot ${from}, and none of that`, {
    cause,
    hint: 'Name a snapshot of ZFS or a dataset that has some, a subvolume of btrfs or a directory with some.',
  })
}
