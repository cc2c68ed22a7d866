import { disarmOrdinaryRoles, IMPORT_ROLE, type Instance, LAB_DATABASE } from '@dblab/provision'
import type { Client } from 'pg'
import { maskingSession } from './session.ts'

/**
 * Does the work while roles that code of the data runs as, in functions with SECURITY DEFINER and where Postgres maintains indexes and
 * materialized views, can do no more than roles of a clone: the data's own from then on, and the one that an import ran as, which owns what was
 * brought in without its owners, meanwhile. That one may read everything, as those of its materialized views that a file has made may need to.
 * After a failure it stays as it is: the cluster goes.
 */
export async function withPlainRoles<T>(instance: Instance, signal: AbortSignal, work: () => Promise<T>): Promise<T> {
  const there = await maskingSession(instance, LAB_DATABASE, disarm, { signal })
  const result = await work()
  if (there) await maskingSession(instance, LAB_DATABASE, rearm, { signal })
  return result
}

async function disarm(client: Client): Promise<boolean> {
  const { rowCount } = await client.query('select from pg_authid where rolname = $1 and rolsuper', [IMPORT_ROLE])
  if (rowCount !== 0) {
    await client.query(`alter role ${IMPORT_ROLE} nosuperuser bypassrls`)
    await client.query(`grant pg_read_all_data to ${IMPORT_ROLE}`)
  }
  await disarmOrdinaryRoles(client)
  return rowCount !== 0
}

async function rearm(client: Client): Promise<void> {
  await client.query(`revoke pg_read_all_data from ${IMPORT_ROLE}`)
  await client.query(`alter role ${IMPORT_ROLE} superuser nobypassrls`)
}
