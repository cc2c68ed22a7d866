/**
 * Settings for a clone that is one of many on its machine: little memory, few processes, and as safe as Postgres is (`fsync` stays on).
 * Whoever configures the lab may override each of them.
 */
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
    ...(major >= 17 && { summarize_wal: 'off' }),
    // The default starts three more processes.
    ...(major >= 18 && { io_method: 'sync' }),
  }
}
