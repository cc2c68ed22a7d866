import { sqlState, withLabConnection } from '../connect.ts'

/** One connection as the lab's role. That a database is missing, or closed, is told only to those who have proved who they are. */
export async function greet(
  at: { socketDir: string; port: number },
  database: string,
  superuser: string | undefined,
  signal: AbortSignal,
): Promise<void> {
  try {
    await withLabConnection(at, database, async () => undefined, { signal, superuser })
  } catch (error) {
    // https://www.postgresql.org/docs/current/errcodes-appendix.html: invalid_catalog_name, object_not_in_prerequisite_state
    if (!['3D000', '55000'].includes(sqlState(error) ?? '')) throw error
  }
}
