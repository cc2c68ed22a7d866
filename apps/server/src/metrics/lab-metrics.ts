import type { Clone, CloneStatusCode, Retrieval, Warning } from '@dblab/models'
import { Counter, Gauge, type Registry } from '@prometheus-io/client'
import type { Catalogue } from '../catalogue/catalogue.ts'
import type { DiskMonitor } from '../status/disk.ts'

export interface LabMetricsOptions {
  catalogue: Catalogue
  clones: { list(): Clone[] }
  disk: Pick<DiskMonitor, 'view'>
  room: { readonly comingBytes: number }
  jobs: { readonly running: number; readonly waiting: number }
  warm: { readonly size: number; readonly target: number; readonly hits: number; readonly misses: number }
  retrieval: { view(): Retrieval }
  status: { warnings(): Warning[] }
  version: string
}

const NO_CLONES: Readonly<Record<CloneStatusCode, number>> = { OK: 0, CREATING: 0, RESETTING: 0, DELETING: 0, FATAL: 0 }

/** The lab as it is when it is asked: like `GET /status`, from memory and the catalogue alone. */
export class LabMetrics {
  readonly #options: LabMetricsOptions
  readonly #registry: Registry

  constructor(registry: Registry, options: LabMetricsOptions) {
    this.#registry = registry
    this.#options = options
    this.#add('dblab_info', 'The server that answers', ['version'], (gauge) =>
      gauge.set({ version: options.version }, 1),
    )
    this.#add('dblab_warnings', 'What is out of order, as in GET /status', ['code'], (gauge) => {
      for (const { code } of options.status.warnings()) gauge.inc({ code })
    })
    this.#addClones()
    this.#addPool()
    this.#addRefreshes()
  }

  #addClones(): void {
    const { catalogue, clones, jobs, warm } = this.#options
    this.#add('dblab_clones', 'Clones, by their status', ['status'], (gauge) => {
      const counts = { ...NO_CLONES }
      for (const { status } of clones.list()) counts[status.code]++
      for (const [status, count] of Object.entries(counts)) gauge.set({ status }, count)
    })
    this.#value('dblab_snapshots', 'Snapshots', () => catalogue.snapshots.listPublished().length)
    this.#value('dblab_jobs_running', 'Operations on clones and snapshots that run', () => jobs.running)
    this.#value('dblab_jobs_waiting', 'Operations that wait for others to end', () => jobs.waiting)
    this.#value('dblab_warm_instances', 'Instances that stand ready', () => warm.size)
    this.#value('dblab_warm_instances_wanted', 'How many are to stand ready, after the demand', () => warm.target)
    new Counter({
      name: 'dblab_warm_lookups_total',
      help: 'Creations that an instance stood ready for, and those that there was none for',
      labelNames: ['result'],
      registers: [this.#registry],
      collect() {
        this.reset()
        this.inc({ result: 'hit' }, warm.hits)
        this.inc({ result: 'miss' }, warm.misses)
      },
    })
  }

  #addPool(): void {
    const { disk, room } = this.#options
    // Unread, it has no size: then there is nothing to tell.
    const known = (read: (view: ReturnType<typeof disk.view>) => number) => () => {
      const view = disk.view()
      return view.updatedAt === '' ? undefined : read(view)
    }
    this.#value(
      'dblab_pool_size_bytes',
      'Size of the pool',
      known(({ size }) => size),
    )
    this.#value(
      'dblab_pool_used_bytes',
      'What is used of it',
      known(({ used }) => used),
    )
    this.#value(
      'dblab_pool_free_bytes',
      'What is free of it',
      known(({ free }) => free),
    )
    this.#value('dblab_pool_freeing_bytes', 'What is free once all that was deleted is gone', () => room.comingBytes)
    this.#value(
      'dblab_pool_read_timestamp_seconds',
      'When the pool was last read',
      known(({ updatedAt }) => secondsOf(updatedAt)),
    )
  }

  #addRefreshes(): void {
    const { retrieval } = this.#options
    this.#value('dblab_data_timestamp_seconds', 'As of when the newest data is', () => {
      const { dataStateAt } = retrieval.view()
      return dataStateAt === '' ? undefined : secondsOf(dataStateAt)
    })
    this.#value('dblab_refresh_running', '1 while data is brought in', () => (retrieval.view().current ? 1 : 0))
    const help = 'When a refresh last ended so, of the last ten'
    this.#add('dblab_refresh_ended_timestamp_seconds', help, ['outcome'], (gauge) => {
      for (const { outcome, endedAt } of retrieval.view().runs.toReversed()) gauge.set({ outcome }, secondsOf(endedAt))
    })
  }

  /** One number; undefined for none, which leaves it out. */
  #value(name: string, help: string, read: () => number | undefined): void {
    this.#add(name, help, [], (gauge) => {
      const value = read()
      if (value !== undefined) gauge.set(value)
    })
  }

  /** @param fill sets all that there is; what it does not set is left out */
  #add<L extends string>(name: string, help: string, labelNames: L[], fill: (gauge: Gauge<L>) => void): void {
    new Gauge({
      name,
      help,
      labelNames,
      registers: [this.#registry],
      collect() {
        this.reset()
        // Reset, one without labels is 0.
        if (labelNames.length === 0) this.remove()
        fill(this)
      },
    })
  }
}

function secondsOf(time: string): number {
  return Date.parse(time) / 1000
}
