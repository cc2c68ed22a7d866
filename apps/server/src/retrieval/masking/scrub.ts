import type { Instance } from '@dblab/provision'
import type { Client } from 'pg'
import { OWN_SCHEMA } from './catalog-sql.ts'
import { maskingFailure } from './failure.ts'
import { maskingSession } from './session.ts'

export interface ScrubSpec {
  database: string
  /** The tables that are known to be all that changed; undefined where files may have changed any. */
  tables: ReadonlySet<number> | undefined
  /** The system's own tables hold something old, even where no others do. */
  system: boolean
  signal: AbortSignal
  onTable: (table: string, done: number, total: number) => void
}

interface Relation {
  oid: number
  sql: string
  /** A dropped column's values lie in the rows until they are written anew. */
  dropped: boolean
}

/**
 * Writes all files of a database anew that may hold old values; nothing, where there are none: an UPDATE leaves the old row, and a page's free
 * space what was in it. VACUUM FULL makes a new file of what is visible, without dropped columns, and new indexes; the old ones are unlinked.
 * Statistics are taken anew, and the system's own tables come last, since they hold what is now out of date of the others.
 *
 * @throws ProvisionError
 */
export async function scrubDatabase(instance: Instance, spec: ScrubSpec): Promise<void> {
  const { database, signal } = spec
  const within = (work: (client: Client) => Promise<unknown>): Promise<unknown> =>
    maskingSession(instance, database, work, { signal })
  try {
    let old: string[] = []
    await within(async (client) => {
      old = await findOld(client, spec)
    })
    if (old.length === 0 && !spec.system) return
    await within((client) => rewrite(client, old, spec))
    // The new files have no visibility map yet, and the database no statistics.
    await within((client) => client.query('vacuum (freeze, analyze)'))
    // Last: of what it replaced, ANALYZE has left the old rows in them.
    await within(rewriteSystem)
  } catch (error) {
    throw maskingFailure(`removing what was masked from the files of ${database}`, error)
  }
}

/** Tables with rows to be written anew. */
async function findOld(client: Client, { tables }: ScrubSpec): Promise<string[]> {
  const { rows } = await client.query<Relation>(
    `select c.oid, format('%I.%I', n.nspname, c.relname) as sql,
       exists (select from pg_attribute a where a.attrelid = c.oid and a.attisdropped) as dropped
     from pg_class c join pg_namespace n on n.oid = c.relnamespace
     where c.relkind in ('r', 'm') and c.relpersistence <> 't' and ${OWN_SCHEMA} order by 2`,
  )
  return rows.filter(({ oid, dropped }) => !tables || dropped || tables.has(oid)).map(({ sql }) => sql)
}

/** What a DROP INDEX CONCURRENTLY that was cut off has left is part of no table any more, and keeps its file. */
async function dropDeadIndexes(client: Client): Promise<void> {
  const { rows } = await client.query<{ sql: string }>(
    `select format('%I.%I', n.nspname, c.relname) as sql from pg_index i join pg_class c on c.oid = i.indexrelid
     join pg_namespace n on n.oid = c.relnamespace where not i.indislive`,
  )
  for (const { sql } of rows) await client.query(`drop index ${sql}`)
}

async function rewrite(client: Client, tables: readonly string[], { onTable }: ScrubSpec): Promise<void> {
  await dropDeadIndexes(client)
  for (const [done, table] of tables.entries()) {
    onTable(table, done, tables.length)
    await client.query(`vacuum (full, freeze) ${table}`)
  }
  // ANALYZE leaves what it once found in a table that is empty now. PostgreSQL 14 wants a row for each of the extended ones.
  await client.query('begin; set local allow_system_table_mods = on')
  await client.query('delete from pg_statistic')
  await client.query(
    'update pg_statistic_ext_data set stxdndistinct = null, stxddependencies = null, stxdmcv = null, stxdexpr = null',
  )
  await client.query('commit')
}

/** Defaults that rows of before were given, large objects, statistics, and whatever else it keeps of the others. */
async function rewriteSystem(client: Client): Promise<void> {
  const { rows } = await client.query<{ sql: string }>(
    `select format('%I.%I', n.nspname, c.relname) as sql from pg_class c join pg_namespace n on n.oid = c.relnamespace
     where c.relkind = 'r' and n.nspname = 'pg_catalog' order by 1`,
  )
  for (const { sql } of rows) await client.query(`vacuum (full, freeze) ${sql}`)
}
