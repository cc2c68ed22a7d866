import { availableParallelism } from 'node:os'
import type { Client } from 'pg'
import { forEachBounded } from '../bounded.ts'
import { type LabAddress, withLabConnection } from './connect.ts'
import { FIRST_OWN_OID, LAB_DATABASE } from './names.ts'

/** Autovacuum counts what ANALYZE has replaced here, and ANALYZE leaves it out itself. */
const STATISTICS = 'pg_catalog.pg_statistic'

/** A larger one is rewritten for too long, and holds what users have put there, such as large objects. */
const MOST_BYTES = 256 * 2 ** 20

/** However many processors there are: few settings of Postgres allow fewer. */
const MOST_SESSIONS = 4

/**
 * Does in every database what autovacuum would do for the system's own tables, which initdb and all that came after have left to it. Else
 * each clone does it again minutes after its start, in pages that are its own from then on; and one whose pool is full just then ends,
 * with those who only read in it, because it can't write its log.
 *
 * @throws ProvisionError ABORTED, NO_SPACE
 */
export async function vacuumSystemCatalogs(instance: LabAddress, signal?: AbortSignal): Promise<void> {
  const inDatabase = <T>(name: string, work: (client: Client) => Promise<T>) =>
    withLabConnection(instance, name, work, { signal, timeoutMs: 0 })
  const databases = await inDatabase(LAB_DATABASE, (client) =>
    // Nobody can connect to what a DROP DATABASE that was cut off has left (-2, DATCONNLIMIT_INVALID_DB in pg_database.h).
    client.query<{ name: string }>('select datname as name from pg_database where datallowconn and datconnlimit <> -2'),
  )
  const vacuum = async (name: string) => {
    await inDatabase(name, async (client) => {
      // Not what somebody has put beside them: the functions of its indexes would be called.
      const { rows } = await client.query<{ table: string }>(
        `select format('%I.%I', n.nspname, c.relname) as table from pg_class c join pg_namespace n on n.oid = c.relnamespace
         where c.relkind = 'r' and c.oid < $1 and c.oid <> $2::regclass and pg_relation_size(c.oid) <= $3`,
        [FIRST_OWN_OID, STATISTICS, MOST_BYTES],
      )
      const tables = rows.map(({ table }) => table).join(', ')
      await client.query(`vacuum (freeze, analyze) ${tables}`)
    })
    // In a session of its own: what one has replaced is counted at its end.
    await inDatabase(name, (client) => client.query(`vacuum (freeze) ${STATISTICS}`))
  }
  // Where two meet at what all databases share, one waits: each table is a transaction of its own.
  const names = databases.rows.map(({ name }) => name)
  await forEachBounded(names, vacuum, Math.min(availableParallelism(), MOST_SESSIONS))
}
