import { chown, open, writeFile } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import { dirname, join } from 'node:path'
import { Readable } from 'node:stream'
import { type Account, type Instance, ProvisionError } from '@dblab/provision'
import { InterruptedError } from '../interrupted.ts'
import { isLost, NO_ROOM } from '../live/tool.ts'
import { codeOf, databaseError, reason } from '../masking/failure.ts'
import { ToolMessages } from '../tools/tool-messages.ts'
import { asAccount, runTool } from '../tools/tool-process.ts'
import { assertUnchanged, type DumpPlan } from './dump.ts'
import { dumpBytes } from './dump-bytes.ts'
import { applySettings, countTables, eventTriggers, quarantine, vacuum } from './import-finish.ts'
import { type ImportLogin, openImportLogin } from './import-login.ts'
import { checkTarget, createDatabase, createRoles, lendSuperuser } from './import-target.ts'
import { RestoreProgress, type RestoreStep } from './restore-progress.ts'

export interface ImportOptions {
  /** Runs the tool. It is the account that Postgres runs as: a script's own commands reach no further than the server's do. */
  account: Account
  /** Where the tool finds its password, while it runs: a place that the account can pass, and where nothing is yet. */
  loginDirectory: string
  /** Where the instance listens over TCP; it was started with the import role among its users. */
  host?: string
  /** The server is npm's, which the system's packages don't extend. */
  embedded?: boolean
  signal?: AbortSignal | undefined
  onProgress?: ((progress: RestoreStep) => void) | undefined
  /** What pg_restore says, line by line. */
  onToolLine?: ((line: string) => void) | undefined
  /** Schemas that are to be there before it is restored. */
  schemas?: readonly string[] | undefined
  /** What it is called in errors; `the dump PATH` if left out. */
  called?: string | undefined
}

export interface ImportResult {
  /** Roles that were made for it. */
  roles: string[]
  database: string
  tables: number
  dataStateAt: Date
  /** What a user should know: roles made, links to other servers removed, event triggers switched off, a locale replaced. */
  notes: string[]
}

/** Tables at once: two take what one disk can, indexes use a processor each, and each job takes memory. */
export const RESTORE_JOBS = Math.min(Math.max(2, availableParallelism()), 8)

const oneJob = `restored by one job, since the file is compressed as a whole: unpacked first, it would be restored by ${RESTORE_JOBS}`

/**
 * Restores a dump into a new database of a fresh cluster that is running. What can be known to fail is refused before
 * anything is made.
 *
 * The restore is not one transaction: a script may make its database or hold its own transactions, one transaction would need a lock for every table
 * at once, and pg_restore could not use several connections. So after a failure the cluster holds a part of the data, and must be thrown away.
 *
 * @throws ProvisionError INVALID, ALREADY_EXISTS before it begins; FAILED with the tool's last errors, without rows of the data; ABORTED once the
 * tool is gone
 */
export async function importDump(plan: DumpPlan, instance: Instance, options: ImportOptions): Promise<ImportResult> {
  const { signal, onProgress } = options
  onProgress?.({ step: 'prepare' })
  await assertUnchanged(plan)
  const target = await checkTarget(instance, plan, options)
  const made = await createRoles(instance, plan, signal)
  // After a failure the whole cluster goes.
  const takeBack = await lendSuperuser(instance, plan.facts.superusers)
  const locale = await restoreWithLogin(plan, instance, options, () =>
    createDatabase(instance, plan, { ...target, schemas: options.schemas ?? [] }, signal),
  )
  await takeBack()
  onProgress?.({ step: 'finish' })
  if (plan.kind !== 'plain') {
    const { databaseSettings } = plan.facts
    await withoutValues(calledBy(plan, options), 'settings', () =>
      applySettings(instance, plan.database, databaseSettings),
    )
  }
  const removed = await quarantine(instance, plan.database)
  await withoutValues(calledBy(plan, options), 'statistics', () => vacuum(instance, plan.database, signal))
  const silenced = await eventTriggers(instance, plan.database)
  const notes = [
    ...(made.length === 0 ? [] : [`roles made without login: ${made.join(', ')}`]),
    ...(locale === undefined ? [] : [locale]),
    ...(plan.kind === 'custom' && plan.compression !== undefined ? [oneJob] : []),
    ...plan.leftOut,
    ...removed.map((what) => `removed: ${what}`),
    ...(silenced.length === 0 ? [] : [`event triggers switched off: ${silenced.join(', ')}`]),
  ]
  const tables = await countTables(instance, plan.database)
  return { database: plan.database, roles: made, tables, dataStateAt: plan.dataStateAt, notes }
}

/** Index expressions run once more as statistics are collected, and a setting may be a secret. The cause is left behind for the same reason. */
async function withoutValues(called: string, what: string, work: () => Promise<void>): Promise<void> {
  try {
    await work()
  } catch (error) {
    const database = databaseError(error)
    if (!database) throw error
    throw new ProvisionError(codeOf(database), `the ${what} of ${called} could not be made: ${reason(database)}`, {
      hint: 'Mend the dump, or make it again.',
    })
  }
}

async function restoreWithLogin(
  plan: DumpPlan,
  instance: Instance,
  options: ImportOptions,
  makeDatabase: () => Promise<string | undefined>,
): Promise<string | undefined> {
  await using login = await openImportLogin(instance, options.account, options.loginDirectory)
  const note = plan.createsDatabase ? undefined : await makeDatabase()
  await restore(plan, instance, login, options)
  return note
}

async function restore(plan: DumpPlan, instance: Instance, login: ImportLogin, options: ImportOptions): Promise<void> {
  const messages = new ToolMessages()
  const progress = new RestoreProgress(plan, options.onProgress)
  const listFile = await writeList(plan, login, options)
  await using file = readsItself(plan) && !byName(plan) ? await open(plan.path, 'r') : undefined
  const code = await runTool({
    argv: toolArguments(plan, connectionString(instance, login, plan, options), listFile),
    account: options.account,
    env: {
      PGPASSFILE: login.passFile,
      PGAPPNAME: 'dblab import',
      PGCONNECT_TIMEOUT: '10',
      PGGSSENCMODE: 'disable',
      // Without a home, libpq looks into the account's for certificates and passwords that are not for the lab.
      HOME: '/nonexistent',
      PGOPTIONS: '-c client_min_messages=warning -c synchronous_commit=off -c statement_timeout=0 -c lock_timeout=0',
    },
    ...(!byName(plan) && { stdin: file?.fd ?? fed(plan, progress) }),
    onStderrLine: (line) => {
      messages.add(line)
      progress.line(line)
      options.onToolLine?.(line)
    },
    signal: options.signal,
  })
  if (code === 0) return progress.finish()
  if (code === undefined) throw new InterruptedError(`the program that restored ${calledBy(plan, options)} was killed`)
  throw restoreError(plan, messages, calledBy(plan, options))
}

function calledBy(plan: DumpPlan, { called }: ImportOptions): string {
  return called ?? `the dump ${plan.path}`
}

/** pg_restore may want to jump in the file; psql reads through the server, which so knows how far it is. */
function readsItself(plan: DumpPlan): boolean {
  return plan.kind !== 'plain' && plan.compression === undefined
}

function fed(plan: DumpPlan, progress: RestoreProgress): Readable {
  return Readable.from(dumpBytes(plan, { onRead: (byteCount) => progress.bytes(byteCount) }))
}

/** Several jobs open the archive several times, by its name. */
function byName(plan: DumpPlan): boolean {
  return plan.kind === 'directory' || (plan.kind === 'custom' && plan.readable && plan.compression === undefined)
}

/** For pg_restore's --use-list; it goes with the login. */
async function writeList(
  { restored }: DumpPlan,
  login: ImportLogin,
  { account }: ImportOptions,
): Promise<string | undefined> {
  if (restored === undefined) return undefined
  const path = join(dirname(login.passFile), 'list')
  await writeFile(path, restored.map((number) => `${number};\n`).join(''), { mode: 0o600, flag: 'wx' })
  if (asAccount(account)) await chown(path, account.uid, account.gid)
  return path
}

function toolArguments(plan: DumpPlan, connection: string, listFile: string | undefined): [string, ...string[]] {
  if (plan.kind === 'plain') {
    // https://www.postgresql.org/docs/current/app-psql.html: without ON_ERROR_STOP psql goes on after an error and ends with status 0.
    return [
      plan.tool.path,
      '--no-psqlrc',
      '--quiet',
      '--set=ON_ERROR_STOP=1',
      // Gives the state, where the sentence itself can't be told.
      '--set=VERBOSITY=verbose',
      '--no-password',
      `--dbname=${connection}`,
      '--file=-',
    ]
  }
  return [
    plan.tool.path,
    `--dbname=${connection}`,
    `--format=${plan.kind}`,
    '--exit-on-error',
    '--no-password',
    '--verbose',
    // Tablespaces lie outside the volume, and a subscription would connect to production.
    '--no-tablespaces',
    '--no-subscriptions',
    ...(listFile === undefined ? [] : [`--use-list=${listFile}`]),
    ...(byName(plan) ? [`--jobs=${RESTORE_JOBS}`, plan.path] : []),
  ]
}

/** Everything in one text, since psql and pg_restore take a database's name that holds `=` for such a text. */
function connectionString(instance: Instance, login: ImportLogin, plan: DumpPlan, options: ImportOptions): string {
  const parameters = {
    host: options.host ?? '127.0.0.1',
    port: String(instance.port),
    user: login.user,
    dbname: plan.createsDatabase ? 'postgres' : plan.database,
  }
  return Object.entries(parameters)
    .map(([name, value]) => `${name}='${value.replaceAll(/[\\']/g, '\\$&')}'`)
    .join(' ')
}

const cleanHint =
  'A dump made with --clean drops what is not there yet: make it with --if-exists as well, or without --clean.'

const hints: readonly (readonly [RegExp, string])[] = [
  [/locale|collation/i, 'Install the locale on this machine, or make the dump without --create.'],
  [/tablespace/i, 'Make the dump with pg_dump --no-tablespaces.'],
  [NO_ROOM, 'Free space in the pool, or make it larger.'],
  [/out of shared memory/i, 'Raise max_locks_per_transaction.'],
  // Messages of pg_restore, of pg_backup_custom.c and pg_backup_tar.c.
  [
    /out-of-order restore request|out of order is not supported/i,
    'Its data can only be read in another order: unpack the file first.',
  ],
  [
    /could not find header for file/i,
    'If it is a directory dump that was packed with tar, unpack it and name the directory.',
  ],
]

function restoreError(plan: DumpPlan, messages: ToolMessages, called: string): ProvisionError {
  const summary = messages.summary()
  const cleans = plan.facts.drops && /does not exist/i.test(summary)
  const known = cleans ? cleanHint : hints.find(([pattern]) => pattern.test(summary))?.[1]
  if (isLost(messages)) {
    return new InterruptedError(`the Postgres that ${called} was restored into went away: ${summary}`, {
      hint: "See the log of the lab's server, and whether the machine has memory left.",
    })
  }
  const from = plan.toolVersion === undefined ? '' : ` It was made by pg_dump ${plan.toolVersion}.`
  const noSpace = messages.say(NO_ROOM)
  return new ProvisionError(noSpace ? 'NO_SPACE' : 'FAILED', `${called} could not be restored: ${summary}`, {
    hint: `${known ?? 'Mend the dump, or make it again.'}${from}`,
  })
}
