import { join } from 'node:path'
import type { Places } from '../../src/index.ts'
import type { Source } from './source.ts'

/** A superuser of the data, on whom the settings do not lie that others have. */
export const WATCHER = 'watcher'
export const SECOND = 'Second "db"'
export const GID = `un'decided é`

export interface Production {
  /** Written by the archive_command, if it ever runs. */
  trace: string
  tablespace: string
}

/** What a database in production has, and a copy must not bring to life. */
export async function fillAsProduction(source: Source): Promise<Production> {
  const trace = join(source.root, 'trace')
  const tablespace = await source.directory('elsewhere')
  const second = `"${SECOND.replaceAll('"', '""')}"`
  await each(source, [
    `create tablespace far location '${tablespace}'`,
    `create database ${second}`,
    'create database closed allow_connections false',
    `create role app login password 'secret'`,
    `create role ${WATCHER} superuser login`,
    'create table public.kept as select i, md5(i::text) as text from generate_series(1, 5000) i',
    'create table public.faraway tablespace far as select i from generate_series(1, 5000) i',
    'create index on public.kept (text) tablespace far',
    'create table public.held (i int)',
    'create unlogged table public.unlogged as select 1 as one',
    'alter table public.kept owner to app',
    'create extension dblink',
    `select pg_create_physical_replication_slot('standby', true), pg_create_logical_replication_slot('logical', 'pgoutput')`,
  ])
  await each(
    source,
    [`create function public.lift() returns text language sql security definer as 'select current_user::text'`],
    'template1',
  )
  await each(
    source,
    [
      `create table public.other as select i from generate_series(1, 100) i`,
      `create subscription sub connection 'host=127.0.0.1 port=1 dbname=nothing' publication p with (connect = false)`,
      'alter subscription sub enable',
    ],
    SECOND,
  )
  await each(source, [
    `begin; insert into public.kept values (0, 'undecided'); lock table public.held in access exclusive mode;
     prepare transaction '${GID.replaceAll("'", "''")}'`,
    `create function public.on_ddl() returns event_trigger language plpgsql as $$ begin raise exception 'stopped by an event trigger'; end $$`,
    'create event trigger stop on ddl_command_start execute function public.on_ddl()',
    'alter event trigger stop enable always',
    `alter system set archive_mode = 'on'`,
    `alter system set archive_command = 'echo %f >> ${trace}'`,
    `alter role postgres set statement_timeout = '1ms'`,
  ])
  return { trace, tablespace }
}

async function each(source: Source, statements: readonly string[], database = 'postgres'): Promise<void> {
  for (const statement of statements) await source.query(statement, database)
}

/** As `pg_basebackup` takes one, with its tablespace at a place in the volume that only its link names. */
export async function baseBackup(
  source: Source,
  { dataDir, tablespacesDir }: Places,
  tablespace?: string,
  ...more: string[]
): Promise<void> {
  const mapping =
    tablespace === undefined ? [] : [`--tablespace-mapping=${tablespace}=${join(tablespacesDir, 'far away')}`]
  const at = ['-h', join(source.root, 'sockets'), '-p', `${source.port}`, '-U', 'postgres']
  await source.run('pg_basebackup', '-D', dataDir, ...at, '-c', 'fast', ...mapping, ...more)
}

/** By the functions of the low-level API (manual, "Making a Base Backup Using the Low Level API"), which each major has. */
export async function copyRunning(
  source: Source,
  { dataDir, tablespacesDir }: Places,
  major: number,
  tablespace: string,
) {
  const [begin, end] =
    major >= 15
      ? ['pg_backup_start($$b$$, true)', 'pg_backup_stop(false)']
      : [`pg_start_backup($$b$$, true, false)`, 'pg_stop_backup(false, false)']
  await source.session(async (query) => {
    await query(`select ${begin}`)
    await query('insert into public.t select i from generate_series(1, 500) i')
    await source.run('/bin/cp', '-a', `${source.dataDir}/.`, dataDir)
    const [ended] = await query(`select labelfile, spcmapfile from ${end}`)
    await source.run('/bin/cp', '-a', `${join(source.dataDir, 'pg_wal')}/.`, join(dataDir, 'pg_wal'))
    await source.write(join(dataDir, 'backup_label'), String(ended?.labelfile))
    await source.write(join(dataDir, 'tablespace_map'), String(ended?.spcmapfile))
    const oid = /^(\d+) /.exec(String(ended?.spcmapfile))?.[1] ?? ''
    await source.run('/bin/cp', '-a', tablespace, join(tablespacesDir, oid))
  })
}
