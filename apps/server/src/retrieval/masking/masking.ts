import { type Account, createImportRole, type Instance, isProvisionError, ProvisionError } from '@dblab/provision'
import type { Client } from 'pg'
import { applyPlan } from './apply.ts'
import { type Catalog, readCatalog } from './catalog.ts'
import { checkConditions } from './conditions.ts'
import { checkConstants } from './constants.ts'
import { type Finding, findUncovered, judgeCoverage } from './coverage.ts'
import { runMaskingFile } from './files.ts'
import { largeObjectsOf, removeLargeObjects } from './large-objects.ts'
import { removeLeftovers } from './leftovers.ts'
import { withPlainRoles } from './plain-roles.ts'
import { coveredKeys, type Plan, planRules } from './plan.ts'
import type { Masking } from './prepare.ts'
import { scrubDatabase } from './scrub.ts'
import { maskingSession } from './session.ts'
import { checkTemplateZero } from './template-zero.ts'
import { refreshViews } from './views.ts'
import { leaveWalBehind } from './wal.ts'

export interface MaskingProgress {
  step: 'file' | 'rules' | 'coverage' | 'scrub'
  /** The file, or the database and table. */
  name: string
  done: number
  total: number
}

export interface MaskOptions {
  /** Running with the settings of a base, and nobody in it but the lab. */
  instance: Instance
  /** The main database: where files are run that name none. */
  database: string
  masking: Masking
  /** The account that Postgres runs as, and that owns its files. */
  account: Account
  signal?: AbortSignal | undefined
  onProgress?: ((progress: MaskingProgress) => void) | undefined
}

export interface MaskResult {
  maskVersion: string
  /** What a user should know: columns that follow others, leftovers that were removed, what the coverage check would have objected to. */
  notes: string[]
  /** Tables, and partitions, in which rules have masked something. */
  tables: number
}

/**
 * Masks every database of a cluster that was just brought in, checks that nothing looks personal that no rule covers, and leaves no masked
 * value in any file of it, once it is shut down cleanly. After a failure the cluster holds the old values in part, and must be thrown away.
 *
 * @throws ProvisionError INVALID for rules that don't fit the data, and for columns that the coverage check objects to; FAILED, TIMEOUT,
 * ABORTED, NO_SPACE, UNAVAILABLE. None shows a value of the data.
 */
export async function maskCluster(options: MaskOptions): Promise<MaskResult> {
  const { masking, signal } = options
  const deadline = AbortSignal.timeout(masking.timeoutSeconds * 1000)
  const cut = signal ? AbortSignal.any([signal, deadline]) : deadline
  try {
    return await maskAll(options, cut)
  } catch (error) {
    if (!deadline.aborted || signal?.aborted || !isProvisionError(error, 'ABORTED')) throw error
    throw new ProvisionError('TIMEOUT', `masking took longer than ${masking.timeoutSeconds} s`, {
      cause: error,
      hint: 'Raise retrieval.masking.timeoutSeconds, or mask less.',
    })
  }
}

async function maskAll(options: MaskOptions, signal: AbortSignal): Promise<MaskResult> {
  const { instance } = options
  const before = await checkConditions(instance, signal)
  await silenceEventTriggers(instance, before, signal)
  await runFiles(options, before, signal)
  // A file may have made a database, or prepared a transaction.
  const databases = await checkConditions(instance, signal)
  await checkTemplateZero(instance, signal)
  return withPlainRoles(instance, signal, () => maskDatabases(options, databases, signal))
}

async function maskDatabases(
  options: MaskOptions,
  databases: readonly string[],
  signal: AbortSignal,
): Promise<MaskResult> {
  const { instance, masking } = options
  const plans = await planAll(instance, databases, masking, signal)
  for (const plan of plans) await applyRules(options, plan, signal)
  if (masking.largeObjects === 'remove') {
    for (const database of databases) await removeLargeObjects(instance, database, signal)
  }
  // Before anybody looks: what they still have of rows that are gone, or were masked, is in no table.
  const refreshed = new Set<string>()
  for (const database of databases) {
    if (await refreshViews(instance, database, signal)) refreshed.add(database)
  }
  const objections = await checkCoverage(options, plans, signal)
  const removed = await scrub(options, plans, refreshed, signal)
  const notes = [
    ...plans.flatMap(({ plan }) => plan.notes),
    ...objections,
    ...removed.map((path) => `removed from the data directory: ${path}`),
  ]
  const tables = plans.reduce((sum, { plan }) => sum + tablesOf(plan).size, 0)
  return { maskVersion: masking.maskVersion, notes, tables }
}

/** What fires when a table is altered, even for a replica, must not fire now. Clones go without all of them anyway: docs/decisions/owner-role.md. */
async function silenceEventTriggers(
  instance: Instance,
  databases: readonly string[],
  signal: AbortSignal,
): Promise<void> {
  for (const database of databases) {
    await maskingSession(
      instance,
      database,
      async (client) => {
        const { rows } = await client.query<{ name: string }>(
          `select format('%I', evtname) as name from pg_event_trigger where evtenabled <> 'D'`,
        )
        for (const { name } of rows) await client.query(`alter event trigger ${name} disable`)
      },
      { signal },
    )
  }
}

async function runFiles(options: MaskOptions, databases: readonly string[], signal: AbortSignal): Promise<void> {
  const { instance, masking, onProgress } = options
  const { files } = masking
  for (const { path, database } of files) {
    if (database === undefined || databases.includes(database)) continue
    throw new ProvisionError('INVALID', `the masking file ${path} is for a database that the data does not have`, {
      hint: `It has ${databases.join(', ')}.`,
    })
  }
  if (files.length > 0) await createImportRole(instance)
  for (const [done, file] of files.entries()) {
    onProgress?.({ step: 'file', name: file.path, done, total: files.length })
    await runMaskingFile(instance, databaseOf(options, file), file, signal)
  }
}

function databaseOf(options: MaskOptions, file: { database: string | undefined }): string {
  return file.database ?? options.database
}

interface DatabasePlan {
  database: string
  catalog: Catalog
  plan: Plan
}

/** Made after the files have run, which may have changed what there is. Every rule has to mean something in one of the databases. */
async function planAll(
  instance: Instance,
  databases: readonly string[],
  { rules }: Masking,
  signal: AbortSignal,
): Promise<DatabasePlan[]> {
  const plans: DatabasePlan[] = []
  for (const database of databases) {
    const work = async (client: Client): Promise<void> => {
      const catalog = await readCatalog(client)
      const plan = planRules(database, catalog, rules)
      await checkConstants(client, plan)
      plans.push({ database, catalog, plan })
    }
    await maskingSession(instance, database, work, { signal })
  }
  const idle = rules.filter((rule) => !plans.some(({ plan }) => plan.matched.has(rule)))
  if (idle.length === 0) return plans
  throw new ProvisionError(
    'INVALID',
    `rules of the masking match no column: ${idle.map(({ label }) => label).join(', ')}`,
    {
      hint: 'Write them as schema.table and column, or take them out: a column that was renamed would go unmasked.',
    },
  )
}

async function applyRules(
  { instance, masking, onProgress }: MaskOptions,
  each: DatabasePlan,
  signal: AbortSignal,
): Promise<void> {
  const { database, catalog, plan } = each
  const onTable = progressOf('rules', database, onProgress)
  await maskingSession(
    instance,
    database,
    async (client) => {
      await applyPlan(client, catalog, plan, { keys: masking.keys, onTable })
    },
    { signal },
  )
}

async function checkCoverage(
  options: MaskOptions,
  plans: readonly DatabasePlan[],
  signal: AbortSignal,
): Promise<string[]> {
  const { instance, masking, onProgress } = options
  const { mode, allow } = masking.coverage
  if (mode === 'off') return []
  const findings: Finding[] = []
  const notes: string[] = []
  for (const { database, catalog, plan } of plans) {
    const onTable = progressOf('coverage', database, onProgress)
    const covered = coveredKeys(plan)
    findings.push(...(await findUncovered(instance, { database, catalog, covered, allow, signal, onTable })))
    if (masking.largeObjects === undefined) notes.push(...(await largeObjectsOf(instance, database, mode, signal)))
  }
  return [...notes, ...judgeCoverage(mode, findings)]
}

async function scrub(
  options: MaskOptions,
  plans: readonly DatabasePlan[],
  refreshed: ReadonlySet<string>,
  signal: AbortSignal,
): Promise<string[]> {
  const { instance, masking, account, onProgress } = options
  for (const { database, plan } of plans) {
    const byFile = masking.files.some((file) => databaseOf(options, file) === database)
    const onTable = progressOf('scrub', database, onProgress)
    const tables = byFile ? undefined : tablesOf(plan)
    await scrubDatabase(instance, {
      database,
      tables,
      system: byFile || refreshed.has(database) || masking.largeObjects === 'remove',
      signal,
      onTable,
    })
  }
  await leaveWalBehind(instance, signal)
  return removeLeftovers(
    instance,
    plans.map(({ database }) => database),
    account,
    signal,
  )
}

function tablesOf({ assignments }: Plan): Set<number> {
  return new Set(assignments.map(({ column }) => column.table.oid))
}

function progressOf(step: MaskingProgress['step'], database: string, report: MaskOptions['onProgress']) {
  return (table: string, done: number, total: number): void =>
    report?.({ step, name: `${database}: ${table}`, done, total })
}
