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
