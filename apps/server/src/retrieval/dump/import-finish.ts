import { type Instance, withLabConnection } from '@dblab/provision'
import { type Client, escapeIdentifier } from 'pg'

/** Applies the statements of an archive that set the database's own parameters, which pg_restore applies only where it makes the database. */
export async function applySettings(
  instance: Instance,
  database: string,
  statements: readonly string[],
): Promise<void> {
  if (statements.length === 0) return
  await withLabConnection(instance, database, async (client) => {
    for (const statement of statements) await client.query(statement)
  })
}

/**
 * Removes what would make a clone reach for another server: subscriptions, which receive from production, and user mappings, which hold its
 * passwords; and what shows its users files and programs of the lab's machine. Makes nothing, on which its callers rely. Returns what it
 * removed, for people.
 */
export async function quarantine(instance: Instance, database: string): Promise<string[]> {
  return withLabConnection(instance, database, async (client) => [
    ...(await dropSubscriptions(client)),
    ...(await dropUserMappings(client)),
    ...(await emptyFileTables(client)),
  ])
}

/** The names of those that are on. What makes a base ready for clones switches them off, for they would fire as a superuser. */
export async function eventTriggers(instance: Instance, database: string): Promise<string[]> {
  return withLabConnection(instance, database, async (client) => {
    const { rows } = await client.query<{ name: string }>(
      `SELECT evtname AS name FROM pg_event_trigger WHERE evtenabled <> 'D' ORDER BY 1`,
    )
    return rows.map(({ name }) => name)
  })
}

async function dropSubscriptions(client: Client): Promise<string[]> {
  const { rows } = await client.query<{ subname: string }>(
    `SELECT subname FROM pg_subscription JOIN pg_database d ON d.oid = subdbid WHERE datname = current_database() ORDER BY 1`,
  )
  for (const { subname } of rows) {
    const name = client.escapeIdentifier(subname)
    await client.query(`ALTER SUBSCRIPTION ${name} DISABLE`)
    // Without it DROP would connect to the publisher, to drop the slot there.
    await client.query(`ALTER SUBSCRIPTION ${name} SET (slot_name = NONE)`)
    await client.query(`DROP SUBSCRIPTION ${name}`)
  }
  return rows.map(({ subname }) => `subscription ${subname}`)
}

async function dropUserMappings(client: Client): Promise<string[]> {
  const { rows } = await client.query<{ srvname: string; usename: string; everybody: boolean }>(
    'SELECT srvname, usename, umuser = 0 AS everybody FROM pg_user_mappings ORDER BY 1, 2',
  )
  for (const { srvname, usename, everybody } of rows) {
    const user = everybody ? 'PUBLIC' : client.escapeIdentifier(usename)
    await client.query(`DROP USER MAPPING FOR ${user} SERVER ${client.escapeIdentifier(srvname)}`)
  }
  return rows.map(({ srvname, usename }) => `user mapping of ${usename} for ${srvname}`)
}

/**
 * file_fdw asks for rights when a foreign table is made or altered, and not when it is read: then it reads its file or runs its program for whoever
 * may SELECT. The tables stay, for the views and functions that stand on them.
 * https://www.postgresql.org/docs/current/file-fdw.html
 */
async function emptyFileTables(client: Client): Promise<string[]> {
  const { rows } = await client.query<{ identity: string; options: string[]; binary: boolean }>(
    `SELECT format('%I.%I', n.nspname, c.relname) AS identity,
       ARRAY(SELECT option_name FROM pg_options_to_table(t.ftoptions)) AS options,
       EXISTS (SELECT FROM pg_options_to_table(t.ftoptions) WHERE option_name = 'format' AND option_value = 'binary') AS binary
     FROM pg_foreign_table t
     JOIN pg_class c ON c.oid = t.ftrelid
     JOIN pg_namespace n ON n.oid = c.relnamespace
     JOIN pg_foreign_server s ON s.oid = t.ftserver
     JOIN pg_foreign_data_wrapper w ON w.oid = s.srvfdw
     JOIN pg_proc handler ON handler.oid = w.fdwhandler
     WHERE handler.probin ~ '(^|/)file_fdw(\\.[a-z]+)?$' ORDER BY 1`,
  )
  for (const { identity, options, binary } of rows) {
    const changes = [
      `${options.includes('filename') ? 'SET' : 'ADD'} filename '/dev/null'`,
      ...(options.includes('program') ? ['DROP program'] : []),
      // An empty file is none of that format, but one of every other.
      ...(binary ? ['DROP format'] : []),
    ]
    await client.query(`ALTER FOREIGN TABLE ${identity} OPTIONS (${changes.join(', ')})`)
  }
  return rows.map(({ identity, options }) => {
    const what = options.includes('program') ? 'program' : 'file'
    return `the ${what} behind the foreign table ${identity}, which is empty now`
  })
}

/**
 * Collects statistics, and freezes: pages that nothing is left to be marked on are not written when a clone first reads them, and so stay shared
 * with the snapshot. https://www.postgresql.org/docs/current/sql-vacuum.html
 */
export function vacuum(instance: Instance, database: string, signal?: AbortSignal): Promise<void> {
  return runVacuum(instance, database, 'VACUUM (FREEZE, ANALYZE)', signal)
}

/** The same for these tables of the schema public, so that several connections can share the work. */
export function vacuumTables(
  instance: Instance,
  database: string,
  tables: readonly string[],
  signal?: AbortSignal,
): Promise<void> {
  const names = tables.map((name) => `public.${escapeIdentifier(name)}`).join(', ')
  return runVacuum(instance, database, `VACUUM (FREEZE, ANALYZE) ${names}`, signal)
}

async function runVacuum(instance: Instance, database: string, sql: string, signal?: AbortSignal): Promise<void> {
  await withLabConnection(instance, database, (client) => client.query(sql), { signal, timeoutMs: 0 })
}

/** Tables outside the system's schemas, partitions and partitioned tables among them. */
export async function countTables(instance: Instance, database: string): Promise<number> {
  const sql = `SELECT count(*)::int AS value FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
    WHERE relkind IN ('r', 'p') AND nspname NOT LIKE 'pg\\_%' AND nspname <> 'information_schema'`
  return withLabConnection(instance, database, async (client) => {
    const { rows } = await client.query<{ value: number }>(sql)
    return rows[0]?.value ?? 0
  })
}
