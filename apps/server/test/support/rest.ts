import { eventually } from './lab.ts'
import { query } from './sql.ts'

/**
 * True when next to nothing was logged since the last checkpoint: no process of that Postgres writes anything from then on by itself. A
 * clone's user alone makes for some KiB.
 */
export async function isAtRest(url: string): Promise<boolean> {
  const sql = 'SELECT pg_current_wal_insert_lsn() - checkpoint_lsn < 1000 AS rests FROM pg_control_checkpoint()'
  return (await query<{ rests: boolean }>(url, sql))[0]?.rests ?? false
}

export async function untilAtRest(url: string): Promise<void> {
  await eventually('it is at rest', () => isAtRest(url))
}

/**
 * Until it has made the checkpoint that follows its creation, and what was logged is on disk: others may log a little more, such as which
 * rows they have found committed, but nothing that is of any size, or late.
 */
export async function untilCheckpointed(url: string): Promise<void> {
  const sql = `SELECT checkpoint_time >= date_trunc('second', pg_postmaster_start_time())
    AND pg_current_wal_insert_lsn() - pg_current_wal_flush_lsn() <= 64 AS checkpointed FROM pg_control_checkpoint()`
  await eventually('it has made its first checkpoint', async () => {
    return (await query<{ checkpointed: boolean }>(url, sql))[0]?.checkpointed ?? false
  })
}
