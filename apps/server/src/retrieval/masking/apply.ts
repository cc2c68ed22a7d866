import { type Client, escapeIdentifier } from 'pg'
import { type Catalog, nameOf, type Table } from './catalog.ts'
import { type Confined, confine } from './confined.ts'
import { maskedValue, Parameters } from './expression.ts'
import { maskingFailure } from './failure.ts'
import { maskingFunctions } from './functions.ts'
import type { MaskingKeys } from './keyring.ts'
import { type Assignment, byTable, type Plan } from './plan.ts'
import { verifyForeignKeys } from './verify.ts'

export interface ApplyOptions {
  keys: MaskingKeys | undefined
  /** Before each table. */
  onTable: (table: string, done: number, total: number) => void
}

/**
 * Masks all columns of the plan in one transaction, in which no trigger, rule or row security of the data is in effect and none of its code is
 * a superuser, and verifies that keys are still keys.
 *
 * @throws ProvisionError FAILED, without a value of the data; nothing has changed then
 */
export async function applyPlan(client: Client, catalog: Catalog, plan: Plan, options: ApplyOptions): Promise<void> {
  const tables = byTable(plan.assignments)
  if (tables.length === 0) return
  await confine(client, SETTINGS, async (confined) => {
    for (const statement of maskingFunctions) await client.query(statement)
    for (const [done, assignments] of tables.entries()) {
      options.onTable(assignments[0]?.column.table.sql ?? '', done, tables.length)
      await maskTable(client, confined, assignments, options.keys)
    }
    try {
      await verifyForeignKeys(confined, catalog, plan)
    } catch (error) {
      throw maskingFailure('looking whether foreign keys still hold', error)
    }
  })
}

const SETTINGS = [
  'session_replication_role = replica',
  // Index entries of the table that is being masked are out of date: nothing may be looked up by them.
  'enable_indexscan = off',
  'enable_indexonlyscan = off',
  'enable_bitmapscan = off',
  'allow_system_table_mods = on',
  `work_mem = '128MB'`,
]

async function maskTable(
  client: Client,
  confined: Confined,
  assignments: readonly Assignment[],
  keys: MaskingKeys | undefined,
): Promise<void> {
  const table = assignments[0]?.column.table
  if (!table) throw new Error('a table to be masked has a column that is')
  const names = assignments.map(({ column }) => nameOf(column)).join(', ')
  try {
    await client.query(`lock table only ${table.sql} in access exclusive mode`)
    const restore = await quieten(client, table)
    const identities = await setIdentities(client, assignments, 'd')
    const indexes = await suspendIndexes(client, table.oid)
    for (const assignment of assignments) if (assignment.rule.kind === 'shuffle') await shuffle(confined, assignment)
    await update(confined, assignments, keys)
    for (const index of indexes) await client.query(`reindex index ${index}`)
    await setIdentities(client, identities, 'a')
    for (const statement of restore) await client.query(statement)
  } catch (error) {
    throw maskingFailure(`masking ${names}`, error)
  }
}

/**
 * Has the UPDATE leave the indexes alone, as those that CREATE INDEX CONCURRENTLY has only begun: among permuted keys one may be, for a
 * moment, what another row still has. REINDEX fills them anew, checks what is unique, and makes them ready again, in the same transaction.
 * https://www.postgresql.org/docs/current/catalog-pg-index.html
 */
async function suspendIndexes(client: Client, oid: number): Promise<string[]> {
  const { rows } = await client.query<{ name: string }>(
    `update pg_index i set indisready = false from pg_class c join pg_namespace n on n.oid = c.relnamespace
     where c.oid = i.indexrelid and i.indrelid = $1 and i.indisready and i.indisvalid and i.indislive
     returning format('%I.%I', n.nspname, c.relname) as name`,
    [oid],
  )
  return rows.map(({ name }) => name)
}

/**
 * What is GENERATED ALWAYS can't be updated; BY DEFAULT can. In the catalogue, since ALTER TABLE does it for a partition only together with
 * all others.
 * https://www.postgresql.org/docs/current/catalog-pg-attribute.html
 */
async function setIdentities(
  client: Client,
  assignments: readonly Assignment[],
  kind: 'a' | 'd',
): Promise<readonly Assignment[]> {
  const identities = assignments.filter(({ column }) => column.alwaysIdentity)
  for (const { column } of identities) {
    await client.query('update pg_attribute set attidentity = $3 where attrelid = $1 and attname = $2', [
      column.table.oid,
      column.name,
      kind,
    ])
  }
  return identities
}

/** Switches off what is in effect even for a replica. Returns the statements that undo it. */
async function quieten(client: Client, { oid, sql: table }: Table): Promise<string[]> {
  const { rows } = await client.query<{ what: string; name: string; mode: string }>(
    `select 'trigger' as what, tgname::text as name, tgenabled as mode from pg_trigger
     where tgrelid = $1 and not tgisinternal and tgenabled in ('A', 'R')
     union all select 'rule', rulename::text, ev_enabled from pg_rewrite where ev_class = $1 and ev_enabled in ('A', 'R')`,
    [oid],
  )
  const undo: string[] = []
  for (const { what, name, mode } of rows) {
    const part = `${what} ${escapeIdentifier(name)}`
    await client.query(`alter table only ${table} disable ${part}`)
    undo.push(`alter table only ${table} enable ${mode === 'A' ? 'always' : 'replica'} ${part}`)
  }
  // Else a table that is published and has no primary key can't be updated.
  const identity = await client.query<{ kind: string }>('select relreplident as kind from pg_class where oid = $1', [
    oid,
  ])
  const kind = REPLICA_IDENTITIES[identity.rows[0]?.kind ?? '']
  if (kind !== undefined) {
    await client.query(`alter table only ${table} replica identity full`)
    undo.push(`alter table only ${table} replica identity ${kind}`)
  }
  return undo
}

/** https://www.postgresql.org/docs/current/catalog-pg-class.html, relreplident; an index, or whole rows, can stay. */
const REPLICA_IDENTITIES: Readonly<Record<string, string>> = { d: 'default', n: 'nothing' }

async function update(
  confined: Confined,
  assignments: readonly Assignment[],
  keys: MaskingKeys | undefined,
): Promise<void> {
  const parameters = new Parameters()
  const changes = assignments
    .filter(({ rule }) => rule.kind !== 'shuffle')
    .map((each) => `${escapeIdentifier(each.column.name)} = ${maskedValue(each, keys, parameters)}`)
  if (changes.length === 0) return
  const table = assignments[0]?.column.table.sql ?? ''
  await confined.run(`update only ${table} set ${changes.join(', ')}`, parameters)
}

/** Hands the values that are there to other rows; those without one stay so. */
async function shuffle(confined: Confined, { column }: Assignment): Promise<void> {
  const [name, table] = [escapeIdentifier(column.name), column.table.sql]
  await confined.run(
    // Each number in a query of its own: windows that are written alike are one, and would hand every value back to its own row.
    `with taker as materialized (
       select ctid as place, row_number() over (order by random()) as number from only ${table} where ${name} is not null
     ), giver as materialized (
       select ${name} as value, row_number() over (order by random()) as number from only ${table} where ${name} is not null
     )
     update only ${table} t set ${name} = giver.value
     from taker join giver using (number) where t.ctid = taker.place`,
  )
}
