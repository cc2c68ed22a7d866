/** What clones are for, and so how their Postgres is set: `lab` is what the lab does by itself. */
export type Profile = 'test' | 'lab'

/**
 * Settings of clones that hold data which can be had again at any moment: little memory, few processes, nothing waits for a disk. They go into
 * the configuration of the lab (`postgres.settings`), and the same to the bare servers beside it.
 */
export function profileSettings(profile: Profile, major: number): Record<string, string> {
  if (profile === 'lab') return {}
  return {
    shared_buffers: '16MB',
    max_connections: '30',
    max_worker_processes: '0',
    max_logical_replication_workers: '0',
    max_wal_senders: '0',
    wal_level: 'minimal',
    autovacuum: 'off',
    fsync: 'off',
    huge_pages: 'off',
    jit: 'off',
    // The default reads every file of a cluster that has to recover.
    recovery_init_sync_method: 'syncfs',
    ...(major >= 18 && { io_method: 'sync' }),
  }
}

/** Whether the server takes `clones.warm`, the number of instances that it prepares. */
export const TAKES_WARM: boolean = false
