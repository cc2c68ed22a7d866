import { type Account, IMPORT_ROLE, LAB_DATABASE, ProvisionError } from '@dblab/provision'
import { describeAddress } from '../live/address.ts'
import { mergePlanSettings, tellHidden } from '../live/plan-settings.ts'
import type { SourceLogin } from '../live/session.ts'
import type { CheckedSource, Reporter, Source } from '../source.ts'
import { needDumpTools } from './client-tools.ts'
import { LogicalFill } from './logical-fill.ts'
import { type DatabaseFacts, examine, listDatabases } from './preflight.ts'
import type { Selection } from './selection.ts'

export interface LogicalOptions {
  login: SourceLogin
  /** The main one first; `all` for those that there are; empty for the address' own. */
  databases: readonly string[] | 'all'
  selection: Selection
  /** Tables at once, each over a connection of its own. */
  jobs: number
  /** Of pg_dump's --compress. */
  compress: string
  /** A snapshot is not held on the source for longer. */
  maxSnapshotMs: number
  /** A locale that this machine lacks is no reason to refuse. */
  anyLocale: boolean
  /** Runs the tools. */
  account: Account
  /** For password files: the source's, and the import's. Each is there only while it is needed. */
  loginDirectories: { source: string; import: string }
  /** Of the lab's own Postgres. */
  labMajor: () => Promise<number>
}

/**
 * A dump is smaller than the files that it comes from, and larger where those are compressed; what is restored has no bloat. Both are there at
 * once, for a while. An estimate, so that what can't fit is refused before it begins.
 */
const SPACE_FACTOR = 1.5

/** A live PostgreSQL server, read with pg_dump. Nothing is written there, and nothing left behind. */
export class LogicalSource implements Source {
  readonly kind = 'logical'
  readonly description: string
  readonly #options: LogicalOptions

  constructor(options: LogicalOptions) {
    this.#options = options
    this.description = `postgresql://${describeAddress(options.login.address)}`
  }

  async check(reporter: Reporter): Promise<CheckedSource> {
    const { login, selection, anyLocale } = this.#options
    const labMajor = await this.#options.labMajor()
    const facts: DatabaseFacts[] = []
    const names = await this.#databases()
    refuseNames(names)
    for (const name of names) {
      facts.push(await examine(login, name, selection, { labMajor, anyLocale }))
      reporter.signal.throwIfAborted()
    }
    const [main, ...others] = facts
    if (!main) throw new ProvisionError('INVALID', 'the source has no database that could be dumped')
    const tools = await needDumpTools(main.serverMajor)
    for (const { name, sizeBytes, tables } of facts) {
      const size = `${tables.size} tables, ${Math.ceil(sizeBytes / 1e6)} MB`
      reporter.info(`${this.description} has ${JSON.stringify(name)}: ${size}`)
    }
    const plan = mergePlanSettings(facts.map(({ planSettings }) => planSettings))
    tellHidden(plan, reporter)
    const sizeBytes = facts.reduce((sum, one) => sum + one.sizeBytes, 0)
    return {
      brings: 'rows',
      databases: [main.name, ...others.map(({ name }) => name)],
      sample: false,
      message: `From ${login.address.host.startsWith('/') ? 'a server of this machine' : login.address.host}`,
      neededBytes: Math.round(SPACE_FACTOR * sizeBytes),
      planSettings: plan.values,
      loginRoles: [IMPORT_ROLE],
      fill: (staging, told) => new LogicalFill(this.#options, { facts, tools, staging, reporter: told }).run(),
    }
  }

  async #databases(): Promise<readonly string[]> {
    const { login, databases } = this.#options
    if (databases === 'all') return listDatabases(login)
    return databases.length > 0 ? databases : [login.address.database]
  }
}

/** Each comes under its own name. */
function refuseNames(names: readonly string[]): void {
  const twice = names.find((name, index) => names.indexOf(name) !== index)
  if (twice !== undefined) {
    throw new ProvisionError('INVALID', `the database ${JSON.stringify(twice)} is named twice`, {
      hint: 'Take one out of databases.',
    })
  }
  if (!names.includes(LAB_DATABASE)) return
  throw new ProvisionError('INVALID', `${LAB_DATABASE} is the lab's own database, and can't be one of the data's`, {
    hint: 'Leave it out of databases, or rename it on the source.',
  })
}
