import { type Instance, ProvisionError } from '@dblab/provision'
import type { Client } from 'pg'
import { maskingFailure } from './failure.ts'
import { maskingSession } from './session.ts'

/** Each is a lock until the transaction ends, of which there are as many as max_locks_per_transaction times the sessions allow. */
const BATCH = 1000

export async function removeLargeObjects(instance: Instance, database: string, signal: AbortSignal): Promise<void> {
  const statement = `select count(lo_unlink(oid))::int as count from (select oid from pg_largeobject_metadata limit ${BATCH}) as batch`
  await maskingSession(
    instance,
    database,
    async (client) => {
      try {
        for (;;) {
          const { rows } = await client.query<{ count: number }>(statement)
          if (rows[0]?.count === 0) return
        }
      } catch (error) {
        throw maskingFailure(`removing the large objects of ${database}`, error)
      }
    },
    { signal },
  )
}

/**
 * What there is to say of large objects where the configuration says nothing about them: they may hold anything.
 *
 * @throws ProvisionError INVALID where the coverage check blocks
 */
export async function largeObjectsOf(
  instance: Instance,
  database: string,
  mode: 'block' | 'warn',
  signal: AbortSignal,
): Promise<string[]> {
  const count = await maskingSession(instance, database, countThem, { signal })
  if (count === 0) return []
  if (mode === 'warn') return [`not masked: ${count} large objects of ${database}`]
  throw new ProvisionError('INVALID', `the database ${database} has ${count} large objects, which no rule is about`, {
    hint: 'Say what becomes of them: retrieval.masking.largeObjects is keep or remove.',
  })
}

async function countThem(client: Client): Promise<number> {
  const { rows } = await client.query<{ count: number }>('select count(*)::int as count from pg_largeobject_metadata')
  return rows[0]?.count ?? 0
}
