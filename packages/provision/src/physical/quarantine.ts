import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { AccountFiles } from './account-files.ts'
import { settingLine } from './kept-settings.ts'

/** What of a data directory is the data (PostgreSQL manual, "Database File Layout"). */
const DATA = [
  'PG_VERSION',
  'backup_label',
  'base',
  'global',
  'pg_commit_ts',
  'pg_multixact',
  'pg_tblspc',
  'pg_twophase',
  'pg_wal',
  'pg_xact',
] as const

/**
 * What is of the server that ran on it, and is begun anew by the next one: all that a base backup leaves empty (manual, "Base Backup";
 * basebackup.c, excludeDirContents), replication slots, what logical decoding and replication origins have kept, and counters, among
 * which pg_stat_statements keeps the texts of statements. A slot would keep a server with `wal_level=minimal` from starting, and so would
 * more origins than it has room for.
 */
const BEGUN_ANEW = [
  'pg_dynshmem',
  'pg_notify',
  'pg_replslot',
  'pg_serial',
  'pg_snapshots',
  'pg_stat',
  'pg_stat_tmp',
  'pg_subtrans',
  'pg_logical',
] as const

/** Made by whoever wants them, and missed by Postgres where a copy has left out empty directories. */
const DIRECTORIES = [
  ...BEGUN_ANEW,
  'pg_logical/snapshots',
  'pg_logical/mappings',
  'pg_wal',
  'pg_wal/archive_status',
] as const
const USUALLY_EMPTY = ['pg_commit_ts', 'pg_tblspc', 'pg_twophase'] as const

/** The default of `min_wal_size`, of which two segments must be had; and of `max_wal_size`. */
const MIN_WAL_BYTES = 80 * 2 ** 20
const MAX_WAL_BYTES = 2 ** 30

/**
 * Leaves of a data directory the data, and nothing that would have a server on it archive, connect, load, include, log or answer as the
 * source's did. Not by a list of what must go: what is not known goes.
 *
 * @param kept settings that every clone is to have
 * @returns the names of what is gone, at the top
 */
export async function quarantine(
  dataDir: string,
  { walSegmentBytes, kept }: { walSegmentBytes: number; kept: Readonly<Record<string, string>> },
  files: AccountFiles,
): Promise<string[]> {
  const data: readonly string[] = [...DATA, ...BEGUN_ANEW]
  const removed = (await readdir(dataDir)).filter((name) => !data.includes(name)).sort()
  const paths = (names: readonly string[]) => names.map((name) => join(dataDir, name))
  await files.remove(paths([...removed, ...BEGUN_ANEW, 'pg_wal/archive_status']))
  await files.makeDirectories(paths([...DIRECTORIES, ...USUALLY_EMPTY]))
  await files.write(join(dataDir, 'postgresql.conf'), ownConfiguration(walSegmentBytes, kept))
  // Each start would log that it misses this one.
  await files.write(join(dataDir, 'postgresql.auto.conf'), '')
  return removed
}

/** What recovery leaves behind, and origins that it has followed: see `BEGUN_ANEW`. */
export async function removeTracesOfRecovery(dataDir: string, files: AccountFiles): Promise<void> {
  const names = ['backup_label.old', 'tablespace_map.old', 'recovery.signal', 'pg_logical/replorigin_checkpoint']
  await files.remove(names.map((name) => join(dataDir, name)))
}

/** A cluster with large segments of WAL starts with no less; every clone of it reads this. */
function ownConfiguration(walSegmentBytes: number, kept: Readonly<Record<string, string>>): string {
  const lines = [
    "# The lab's own. Of the settings of the server that the data comes from, those that decide what statements mean.",
  ]
  for (const [name, value] of Object.entries(kept)) lines.push(settingLine(name, value))
  const least = 2 * walSegmentBytes
  if (least > MIN_WAL_BYTES) lines.push(`min_wal_size = ${megabytes(least)}`)
  if (2 * least > MAX_WAL_BYTES) lines.push(`max_wal_size = ${megabytes(2 * least)}`)
  return `${lines.join('\n')}\n`
}

function megabytes(bytes: number): string {
  return `${bytes / 2 ** 20}MB`
}
