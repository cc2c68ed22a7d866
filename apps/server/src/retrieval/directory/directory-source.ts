import {
  type Account,
  copyLocalCluster,
  examineLocalCluster,
  failPoint,
  type LocalCluster,
  type Places,
} from '@dblab/provision'
import type { CheckedSource, Reporter, Source } from '../source.ts'

export interface DirectoryOptions {
  path: string
  /** The main one; undefined for the first there is. */
  database: string | undefined
  anyLocale: boolean
  /** Whose the copy is to be. */
  account: Account
  /** Rejects where the lab has no Postgres of that major. */
  requireMajor: (major: number) => Promise<unknown>
}

/** A data directory of this machine, on which no server runs. It is read, and nothing else. */
export class DirectorySource implements Source {
  readonly kind = 'directory'
  readonly description: string
  readonly #options: DirectoryOptions

  constructor(options: DirectoryOptions) {
    this.#options = options
    this.description = options.path
  }

  async check(reporter: Reporter): Promise<CheckedSource> {
    const { path, database, anyLocale, requireMajor } = this.#options
    const cluster = await examineLocalCluster(path)
    const { major, sizeBytes, control, tablespaces, links } = cluster
    await requireMajor(major)
    const parts = [
      ...tablespaces.map(({ oid }) => `tablespace ${oid}`),
      ...links.map(({ name }) => `${name}, which is a link`),
    ]
    reporter.info(
      `${path} is of PostgreSQL ${major}, ${Math.ceil(sizeBytes / 1e6)} MB, as of ${control.checkpointAt.toISOString()}${parts.length === 0 ? '' : `, with ${parts.join(', ')}`}`,
    )
    return {
      ...{ brings: 'cluster', sample: false, database, anyLocale, neededBytes: sizeBytes },
      message: 'From a data directory of the host',
      copy: (places, told) => this.#copy(cluster, places, told),
    }
  }

  async #copy(cluster: LocalCluster, places: Places, reporter: Reporter): Promise<void> {
    const bytesTotal = cluster.sizeBytes
    let bytesDone = 0
    await copyLocalCluster(cluster, places, {
      account: this.#options.account,
      signal: reporter.signal,
      onBytes: (bytes) => {
        bytesDone += bytes
        reporter.progress({ step: 'COPY', bytesDone: Math.min(bytesDone, bytesTotal), bytesTotal })
      },
    })
    await failPoint('retrieval.copied')
  }
}
