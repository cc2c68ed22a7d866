import { type Account, FIRST_OWN_OID, type Instance, LAB_DATABASE, ProvisionError, run } from '@dblab/provision'
import type { Client } from 'pg'
import { asAccount } from '../tools/tool-process.ts'
import { maskingSession } from './session.ts'

/** https://www.postgresql.org/docs/current/storage-file-layout.html; everything else in a data directory is not the server's. */
const OWN_ENTRIES = [
  ...[
    'PG_VERSION',
    'base',
    'global',
    'pg_commit_ts',
    'pg_dynshmem',
    'pg_logical',
    'pg_multixact',
    'pg_notify',
    'pg_replslot',
  ],
  ...[
    'pg_serial',
    'pg_snapshots',
    'pg_stat',
    'pg_stat_tmp',
    'pg_subtrans',
    'pg_tblspc',
    'pg_twophase',
    'pg_wal',
    'pg_xact',
  ],
  ...['postgresql.conf', 'postgresql.auto.conf', 'pg_hba.conf', 'pg_ident.conf', 'postmaster.opts', 'postmaster.pid'],
]

/** Of a server that runs, these are empty but for what an extension or a replica has left. */
const EMPTY_DIRECTORIES = [
  'pg_stat',
  'pg_replslot',
  'pg_snapshots',
  'pg_twophase',
  'base/pgsql_tmp',
  'pg_logical/mappings',
  'pg_logical/snapshots',
]

/** An installation may spread its configuration, without whose files a copy would not start. */
const CONFIGURATION = /\.conf$|^conf\.d$/

/** What hold no rows besides the segments: where timelines parted, what was archived, which blocks changed. */
const OWN_OF_WAL = /^([0-9A-F]{24}|[0-9A-F]{8}\.history|archive_status|summaries)$/

/** Counts of PostgreSQL 14; an extension keeps the texts of statements beside them. */
const OWN_OF_STATISTICS = /^(global|db_[0-9]+)\.(stat|tmp)$/

/**
 * Removes what a copied data directory may hold besides the data: server logs, core dumps, texts that extensions have kept, and files of
 * tables that no catalogue knows, as a crash leaves them. As the account that owns them, while the server runs and after a checkpoint.
 *
 * @returns what went, as paths below the data directory
 */
export async function removeLeftovers(
  instance: Instance,
  databases: readonly string[],
  account: Account,
  signal: AbortSignal,
): Promise<string[]> {
  const found = await maskingSession(instance, LAB_DATABASE, strayFiles, { signal })
  for (const database of [...databases, LAB_DATABASE]) {
    found.push(...(await maskingSession(instance, database, orphans, { signal })))
  }
  for (const path of found) {
    // Relative to the directory, and as the account: a link in it leads nowhere that the account could not go itself.
    await run(['rm', '-rf', '--', `./${path}`], { cwd: instance.dataDir, account: asAccount(account), signal })
  }
  const left = await maskingSession(instance, LAB_DATABASE, strayFiles, { signal })
  if (left.length === 0) return found
  throw new ProvisionError(
    'FAILED',
    `files that are not the data's own stay in its directory: ${left.slice(0, 3).join(', ')}`,
  )
}

async function strayFiles(client: Client): Promise<string[]> {
  const own = new Set(OWN_ENTRIES)
  const stray = (await list(client, '.')).filter((name) => !own.has(name) && !CONFIGURATION.test(name))
  for (const directory of EMPTY_DIRECTORIES) {
    stray.push(...(await list(client, directory)).map((name) => `${directory}/${name}`))
  }
  for (const [directory, its] of [
    ['pg_wal', OWN_OF_WAL],
    ['pg_stat_tmp', OWN_OF_STATISTICS],
  ] as const) {
    stray.push(
      ...(await list(client, directory)).filter((name) => !its.test(name)).map((name) => `${directory}/${name}`),
    )
  }
  stray.push(...(await besideTablespaces(client)))
  for (const place of ['base', ...(await tablespaces(client))]) {
    if (place !== 'base')
      stray.push(...(await list(client, `${place}/pgsql_tmp`)).map((name) => `${place}/pgsql_tmp/${name}`))
    const { rows } = await client.query<{ name: string }>(
      `select name from pg_ls_dir($1, true, false) name where name ~ '^[0-9]+$' and not exists (select from pg_database where oid::text = name)`,
      [place],
    )
    stray.push(...rows.map(({ name }) => `${place}/${name}`))
  }
  return stray
}

/** The names in a directory below the data's; none where it is not there. */
async function list(client: Client, directory: string): Promise<string[]> {
  const { rows } = await client.query<{ name: string }>('select name from pg_ls_dir($1, true, false) name order by 1', [
    directory,
  ])
  return rows.map(({ name }) => name)
}

/** Where the server keeps the files of each tablespace, whose name is PG_, the major and the catalogue's version. */
const PLACE = `'pg_tblspc/' || t.oid || '/PG_' || current_setting('server_version_num')::int / 10000 || '_' || catalog_version_no`

async function tablespaces(client: Client): Promise<string[]> {
  const { rows } = await client.query<{ place: string }>(
    `select ${PLACE} as place from pg_tablespace t, pg_control_system() where t.oid >= ${FIRST_OWN_OID} order by 1`,
  )
  return rows.map(({ place }) => place)
}

/** What lies beside that directory, such as the one of an older major; where the tablespace is in the volume, as its relative link says. */
async function besideTablespaces(client: Client): Promise<string[]> {
  const { rows } = await client.query<{ path: string }>(
    `select 'pg_tblspc/' || t.oid || '/' || name as path
     from pg_control_system() cross join pg_tablespace t cross join lateral pg_ls_dir('pg_tblspc/' || t.oid, true, false) name
     where t.oid >= ${FIRST_OWN_OID} and pg_tablespace_location(t.oid) !~ '^/' and ${PLACE} <> 'pg_tblspc/' || t.oid || '/' || name
     order by 1`,
  )
  return rows.map(({ path }) => path)
}

/** Files of relations that pg_class does not know: the number before `_` and `.` is a filenode. What is empty is about to be unlinked. */
async function orphans(client: Client): Promise<string[]> {
  const { rows } = await client.query<{ path: string }>(
    `select directory || '/' || name as path
     from pg_control_system() cross join pg_tablespace t
     join pg_database d on d.datname = current_database()
     cross join lateral (select case t.spcname when 'pg_global' then 'global' when 'pg_default' then 'base/' || d.oid else ${PLACE} || '/' || d.oid end) place(directory)
     cross join lateral pg_ls_dir(directory, true, false) name
     where name ~ '^(t[0-9]+_)?[0-9]+(_[a-z]+)?(\\.[0-9]+)?$'
       and (name ~ '^t' or pg_filenode_relation(t.oid, substring(name from '^[0-9]+')::oid) is null)
       and coalesce((pg_stat_file(directory || '/' || name, true)).size, 0) > 0
     order by 1`,
  )
  return rows.map(({ path }) => path)
}
