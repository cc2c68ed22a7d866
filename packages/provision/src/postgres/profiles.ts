import { isPlanSetting } from './plan-settings.ts'

/**
 * What a clone's Postgres is tuned for.
 *
 * - `dev`: as safe as Postgres is, with little memory and few processes.
 * - `test`: to be thrown away. Nothing is flushed to disk, so that a crash of the machine loses the clone, and one of its Postgres the commits of
 *   three seconds; nothing is vacuumed or analyzed
 *   behind a test's back; no query has help of parallel workers.
 * - `like-source`: as `dev`, but for what decides plans. That is as the data's source has it, so that a query gets the plan that it has there.
 */
export type Profile = 'dev' | 'test' | 'like-source'

export const PROFILES: readonly Profile[] = ['dev', 'test', 'like-source']

/**
 * What the profile is started with; for `like-source`, beside the settings that are kept with the data. Whoever configures the lab may override each
 * of these.
 */
export function profileSettings(profile: Profile, major: number): Record<string, string> {
  const settings = labSettings(major)
  if (profile === 'test') return { ...settings, ...TEST, ...(major >= 18 && { autovacuum_worker_slots: '1' }) }
  if (profile === 'dev') return settings
  return Object.fromEntries(Object.entries(settings).filter(([name]) => !isPlanSetting(name)))
}

/** Of bases and scratch clusters as well: one of many on its machine. */
export function labSettings(major: number): Record<string, string> {
  return {
    // The system's cache, which all clones share through their common blocks, does the rest.
    shared_buffers: '32MB',
    huge_pages: 'off',
    jit: 'off',
    // Nothing replicates from a clone. With that, WAL can leave out the contents of tables that are filled as they are made.
    wal_level: 'minimal',
    max_wal_senders: '0',
    max_logical_replication_workers: '0',
    // Every minute would wake every database of every clone.
    autovacuum_naptime: '5min',
    // Else, where one of its processes crashes, the server writes down what statement that was at: it may hold a password.
    log_error_verbosity: 'terse',
    log_checkpoints: 'off',
    log_autovacuum_min_duration: '-1',
    // The default opens every file of the data when a server comes up that was not shut down cleanly.
    ...(process.platform === 'linux' && { recovery_init_sync_method: 'syncfs' }),
    ...(major >= 17 && { summarize_wal: 'off' }),
    ...(major >= 18 && SINCE_18),
  }
}

const SINCE_18 = {
  // The default starts three more processes. Without them a session has one read under way, and no use for places for more.
  io_method: 'sync',
  io_max_concurrency: '1',
  // As many as may run, and not 16: each takes as much of the memory that all share as a session does (InitializeMaxBackends, postinit.c).
  autovacuum_worker_slots: '3',
} as const

const TEST = {
  fsync: 'off',
  synchronous_commit: 'off',
  full_page_writes: 'off',
  autovacuum: 'off',
  // For what is vacuumed all the same, lest transaction ids run out.
  autovacuum_max_workers: '1',
  shared_buffers: '16MB',
  // All of them are written to at the start. To the system's cache they are emptied in no time.
  wal_buffers: '128kB',
  max_worker_processes: '0',
  // It would wake up for nothing, and a test is over before a checkpoint is due.
  checkpoint_timeout: '1h',
  // Two processes that wake up for nothing, of each of hundreds of clones: one that is idle after 50 and 25 times this (bgwriter.c, walwriter.c).
  bgwriter_delay: '10s',
  wal_writer_delay: '1s',
} as const
