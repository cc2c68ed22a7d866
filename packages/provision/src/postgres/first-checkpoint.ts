import { type LabAddress, withLabConnection } from './connect.ts'
import { LAB_DATABASE } from './names.ts'

/** What `setUpUser` writes to. */
const CATALOGS = ['pg_authid', 'pg_auth_members', 'pg_database', 'pg_db_role_setting', 'pg_shdepend']

/**
 * Writes out that a clone has its user. A Postgres that has logged nothing since its last checkpoint makes none when the next is due
 * (xlog.c, CreateCheckPoint). That matters where the pool is full by then, since one that can't write a checkpoint ends.
 *
 * @throws ProvisionError as `withLabConnection`
 */
export async function makeFirstCheckpoint(instance: LabAddress, signal?: AbortSignal): Promise<void> {
  await withLabConnection(
    instance,
    LAB_DATABASE,
    async (client) => {
      // Whoever comes to a new row first marks it as committed, which is logged too where pages have checksums, unless it is done before
      // the checkpoint (bufmgr.c, MarkBufferDirtyHint).
      await client.query(CATALOGS.map((name) => `select count(*) from ${name}`).join(' union all '))
      await client.query('checkpoint')
    },
    { signal },
  )
}
