import type { Client } from 'pg'
import { sqlState, withLabConnection } from '../connect.ts'
import type { InstanceSpec } from '../runtime.ts'

/**
 * One connection as the lab's role, and what is to be done in it. Where that is nothing, it is no failure that the database is missing, or
 * closed: that is told only to those who have proved who they are.
 */
export async function greet(
  { port, database = 'postgres', superuser }: Pick<InstanceSpec, 'port' | 'database' | 'superuser'>,
  { socketDir, major }: { socketDir: string; major: number },
  {
    signal,
    work,
    whenAsked,
  }: { signal: AbortSignal; work: ((client: Client) => Promise<void>) | undefined; whenAsked: () => void },
): Promise<void> {
  const options = { signal, superuser, major, leavesAtOnce: true, whenAsked }
  try {
    await withLabConnection({ socketDir, port }, database, async (client) => work?.(client), options)
  } catch (error) {
    // https://www.postgresql.org/docs/current/errcodes-appendix.html: invalid_catalog_name, object_not_in_prerequisite_state
    if (work || !['3D000', '55000'].includes(sqlState(error) ?? '')) throw error
  }
}
