import type { Client } from 'pg'
import { isProvisionError, ProvisionError } from '../errors.ts'
import { type LabAddress, withLabConnection } from '../postgres/connect.ts'

/**
 * Text that was sorted by another version of a locale than this machine has: indexes on it may miss rows, and let through what a unique
 * one should refuse (manual, "Collation Versions").
 */
export interface CollationMismatch {
  database: string
  /** Undefined for the one that the database itself has. */
  collation: string | undefined
  /** What the data was sorted by. */
  recorded: string
  /** What this machine has; undefined where it has no such locale. */
  actual: string | undefined
}

/** Of a database itself, since PostgreSQL 15: older ones did not write it down. */
const OF_DATABASE = `
  select null as collation, d.datcollversion as recorded, pg_database_collation_actual_version(d.oid) as actual
  from pg_database d where d.datname = current_database()`

/** Those that something in the database is sorted by: each cluster has hundreds that nothing is. */
const OF_COLLATIONS = `
  select format('%I.%I', n.nspname, c.collname) as collation, c.collversion as recorded,
    pg_collation_actual_version(c.oid) as actual
  from pg_collation c join pg_namespace n on n.oid = c.collnamespace
  where c.collversion is not null
    and exists (select from pg_depend d where d.refclassid = 'pg_collation'::regclass and d.refobjid = c.oid)`

export async function collationMismatches(
  instance: LabAddress,
  major: number,
  databases: readonly string[],
  signal?: AbortSignal,
): Promise<CollationMismatch[]> {
  const found: CollationMismatch[] = []
  for (const database of databases) {
    const rows = await withLabConnection(instance, database, (client) => mismatches(client, major), { signal })
    for (const { collation, recorded, actual } of rows)
      found.push({ database, collation: collation ?? undefined, recorded, actual: actual ?? undefined })
  }
  return found
}

interface Row {
  collation: string | null
  recorded: string
  actual: string | null
}

async function mismatches(client: Client, major: number): Promise<Row[]> {
  const all = major >= 15 ? `${OF_DATABASE} union all ${OF_COLLATIONS}` : OF_COLLATIONS
  const { rows } = await client.query<Row>(
    `select * from (${all}) each where recorded is distinct from actual and recorded is not null order by 1 nulls first`,
  )
  return rows
}

/** What CheckMyDatabase (postinit.c) says, and pg_locale.c of ICU's. */
const NO_LOCALE = /database locale is incompatible with operating system|could not open collator for locale/

/** Work with databases of a source, any of which this machine may have no locale for: common where it has only those of a bare system. */
export async function noticingLocales<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    if (!isProvisionError(error, 'FAILED') || !NO_LOCALE.test(error.message)) throw error
    throw new ProvisionError('INVALID', 'the data has a database whose locale this machine does not have', {
      cause: error,
      hint:
        'On the source, this tells which: select datname, datcollate, datctype from pg_database. Install it here ' +
        '(Debian: package locales, and a line for it in /etc/locale.gen; then locale-gen).',
    })
  }
}
