import { chown, mkdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { failPoint, isProvisionError, LAB_DATABASE, ProvisionError, withLabConnection } from '@dblab/provision'
import { inspectDump } from '../dump/dump.ts'
import { type ImportOptions, type ImportResult, importDump, RESTORE_JOBS } from '../dump/import.ts'
import { addCounts, TableProgress } from '../runs/table-progress.ts'
import type { Reporter, Staging } from '../source.ts'
import { type PassFile, writePassFile } from '../tools/pass-file.ts'
import { asAccount } from '../tools/tool-process.ts'
import { watch } from '../tools/watch.ts'
import type { DumpTools } from './client-tools.ts'
import { dumpDatabase, dumpSchema } from './dump-database.ts'
import { type HeldSnapshot, holdSnapshot } from './held-snapshot.ts'
import type { LogicalOptions } from './logical-source.ts'
import type { DatabaseFacts } from './preflight.ts'
import { isWhole } from './selection.ts'

/** What one filling has to do with. */
interface Work {
  facts: readonly DatabaseFacts[]
  tools: DumpTools
  staging: Staging
  reporter: Reporter
}

/** How often it is asked how far a large table is. */
const LOOK_EVERY_MS = 2000

const CHOOSE =
  'Choose what it needs as well, or leave out what needs it (excludeTables takes views too). Types and functions come with their schemas, and with no table that is named.'

/** How far one database is, and the others with it. */
interface Part {
  progress: TableProgress
  tell: () => void
}

/** Brings a source's databases into a running cluster: one dump each, of snapshots of the same moment, and its restoring. */
export class LogicalFill {
  readonly #options: LogicalOptions
  readonly #work: Work

  constructor(options: LogicalOptions, work: Work) {
    this.#options = options
    this.#work = work
  }

  /** @returns when the data was so */
  async run(): Promise<Date> {
    await this.#requireExtensions()
    const root = join(this.#work.staging.volumePath, 'dump')
    await this.#makeDirectory(root)
    try {
      await this.#rehearse(join(root, 'rehearsal'))
      const takenAt = await this.#dumpAll(root)
      const parts = this.#parts('RESTORE')
      for (const [index, database] of this.#work.facts.entries()) {
        await this.#restore(database, directoryOf(root, index), partOf(parts, index))
        // Its room is the next one's.
        await rm(directoryOf(root, index), { recursive: true })
      }
      return takenAt
    } finally {
      await rm(root, { recursive: true, force: true })
    }
  }

  /**
   * Restores what is chosen of each database once without rows, and drops it again: whether what it needs is there as well, such as a type of another
   * schema, is known by that, before anything long begins. A whole database has all that it needs.
   *
   * @throws ProvisionError INVALID with what pg_restore says is missing
   */
  async #rehearse(directory: string): Promise<void> {
    const { login, selection, maxSnapshotMs, ...options } = this.#options
    if (isWhole(selection)) return
    const { facts, tools, staging, reporter } = this.#work
    const { signal } = reporter
    reporter.progress({ step: 'CHECK' })
    await using stack = new AsyncDisposableStack()
    const passFile = (await this.#passFile(stack))?.path
    for (const database of facts) {
      const { name, extensions } = database
      const deadline = new Date(Date.now() + maxSnapshotMs)
      const dump = { ...options, deadline, selection, extensions, tools, passFile, address: login.address }
      await dumpSchema(name, directory, dump, signal)
      const { roles } = await this.#import(database, directory, `what is chosen of ${JSON.stringify(name)}`).catch(
        (error: unknown) => {
          if (!isProvisionError(error, 'FAILED')) throw error
          throw new ProvisionError('INVALID', error.message, { cause: error, hint: CHOOSE })
        },
      )
      await rm(directory, { recursive: true })
      await withLabConnection(staging.instance, LAB_DATABASE, async (client) => {
        await client.query(`DROP DATABASE ${client.escapeIdentifier(name)}`)
        for (const role of roles) await client.query(`DROP ROLE ${client.escapeIdentifier(role)}`)
      })
    }
  }

  /** All snapshots are taken at once, so that the databases are of one moment, as nearly as several can be; each goes with its dump. */
  async #dumpAll(root: string): Promise<Date> {
    const { maxSnapshotMs } = this.#options
    await using stack = new AsyncDisposableStack()
    const deadline = new Date(Date.now() + maxSnapshotMs - spareMs(maxSnapshotMs))
    const held = await this.#holdAll(stack, deadline)
    await failPoint('retrieval.snapshots-held')
    const passFile = await this.#passFile(stack)
    const parts = this.#parts('DUMP')
    for (const [index, snapshot] of held.entries()) {
      await this.#dump(snapshot, directoryOf(root, index), partOf(parts, index), { deadline, passFile: passFile?.path })
      await snapshot[Symbol.asyncDispose]()
      await failPoint('retrieval.dumped')
    }
    return new Date(Math.min(...held.map(({ takenAt }) => takenAt.getTime())))
  }

  async #holdAll(stack: AsyncDisposableStack, until: Date): Promise<HeldSnapshot[]> {
    const held: HeldSnapshot[] = []
    for (const { name } of this.#work.facts) {
      held.push(stack.use(await holdSnapshot(this.#options.login, name, until)))
    }
    for (const { id, database, takenAt, lsn } of held) {
      const when = `at ${takenAt.toISOString()}, log ${lsn}`
      this.#work.reporter.info(`reading ${JSON.stringify(database)} in snapshot ${id}, ${when}`)
    }
    return held
  }

  async #dump(
    snapshot: HeldSnapshot,
    directory: string,
    { progress, tell }: Part,
    bounds: { deadline: Date; passFile: string | undefined },
  ): Promise<void> {
    const { login, ...options } = this.#options
    const { facts, tools, reporter } = this.#work
    await using _watched = watch(LOOK_EVERY_MS, async () => {
      progress.copied(await snapshot.copiedBytes())
      tell()
    })
    const extensions = facts.find(({ name }) => name === snapshot.database)?.extensions ?? []
    const dump = { ...options, ...bounds, extensions, tools, progress, onProgress: tell, address: login.address }
    await dumpDatabase(snapshot, directory, dump, reporter.signal)
  }

  async #restore(database: DatabaseFacts, directory: string, { progress, tell }: Part): Promise<void> {
    const { staging, reporter } = this.#work
    const { instance } = staging
    await using _watched = watch(LOOK_EVERY_MS, async () => {
      const sql = 'SELECT coalesce(sum(bytes_processed), 0) AS bytes FROM pg_stat_progress_copy'
      const { rows } = await withLabConnection(instance, LAB_DATABASE, (client) => client.query<{ bytes: string }>(sql))
      progress.copied(Number(rows[0]?.bytes ?? 0))
      tell()
    })
    const name = JSON.stringify(database.name)
    const { notes } = await this.#import(database, directory, name, {
      onToolLine: (line) => progress.line(line) && tell(),
      onProgress: ({ step }) => step === 'finish' && reporter.progress({ step: 'FINISH' }),
    })
    for (const note of notes) reporter.warn(`${name}: ${note}`)
  }

  async #import(
    { roles, superusers, foreignKeysLeftOut, schemasToMake }: DatabaseFacts,
    directory: string,
    called: string,
    told: Pick<ImportOptions, 'onToolLine' | 'onProgress'> = {},
  ): Promise<ImportResult> {
    const { account, loginDirectories } = this.#options
    const { tools, staging, reporter } = this.#work
    const { instance, embedded } = staging
    const { signal } = reporter
    const plan = await inspectDump(directory, {
      tools: { pg_restore: tools.pgRestore },
      ...{ account, signal, foreignKeysLeftOut },
    })
    const facts = {
      ...plan.facts,
      otherRoles: new Set([...plan.facts.otherRoles, ...roles]),
      superusers: new Set([...plan.facts.superusers, ...superusers]),
    }
    return importDump({ ...plan, facts }, instance, {
      ...{ account, embedded, signal, called, loginDirectory: loginDirectories.import, schemas: schemasToMake },
      ...told,
    })
  }

  #parts(step: 'DUMP' | 'RESTORE'): Part[] {
    const jobs = step === 'DUMP' ? this.#options.jobs : RESTORE_JOBS
    const all = this.#work.facts.map(({ tables }) => new TableProgress(tables, { jobs }))
    const tell = () => this.#work.reporter.progress({ step, ...addCounts(all.map(({ counts }) => counts)) })
    tell()
    return all.map((progress) => ({ progress, tell }))
  }

  async #passFile(stack: AsyncDisposableStack): Promise<PassFile | undefined> {
    const { login, account, loginDirectories } = this.#options
    const password = await login.password()
    if (password === undefined) return undefined
    return stack.use(await writePassFile(loginDirectories.source, account, { user: login.address.user, password }))
  }

  async #makeDirectory(path: string): Promise<void> {
    const { account } = this.#options
    await mkdir(path, { mode: 0o700 })
    if (asAccount(account)) await chown(path, account.uid, account.gid)
  }

  /** Named before anything long begins: the restoring would name the first of them, hours later. */
  async #requireExtensions(): Promise<void> {
    const { facts, staging } = this.#work
    const wanted = [...new Set(facts.flatMap(({ extensions }) => extensions))]
    const { rows } = await withLabConnection(staging.instance, LAB_DATABASE, (client) =>
      client.query<{ name: string }>(
        'SELECT name FROM unnest($1::text[]) name WHERE name NOT IN (SELECT a.name FROM pg_available_extensions a) ORDER BY 1',
        [wanted],
      ),
    )
    if (rows.length === 0) return
    const missing = rows.map(({ name }) => name).join(', ')
    throw new ProvisionError('INVALID', `the source has extensions that the lab's PostgreSQL lacks: ${missing}`, {
      hint: staging.embedded
        ? "The PostgreSQL that comes with the lab can't be extended. Install PostgreSQL and the extensions from the system's packages, and name it in the configuration: postgres.binDir"
        : 'Install them for the server that the lab runs (on Debian packages named postgresql-VERSION-…).',
    })
  }
}

function directoryOf(root: string, index: number): string {
  return join(root, String(index))
}

function partOf(parts: readonly Part[], index: number): Part {
  const part = parts[index]
  if (!part) throw new Error('there is a part for each database')
  return part
}

/** A connection that is cut just before the deadline is noticed by the source this much later (`SOURCE_SETTINGS`). */
function spareMs(maxSnapshotMs: number): number {
  return Math.min(45_000, maxSnapshotMs / 4)
}
