import { IMPORT_ROLE, type Instance, LAB_DATABASE } from '@dblab/provision'
import type { Client } from 'pg'
import { maskingSession } from './session.ts'

/**
 * Does the work while the role that an import ran as is no superuser. It owns what was brought in without its owners, and code of the data
 * runs as the owner: of indexes and materialized views that Postgres maintains, of functions with SECURITY DEFINER. It may read everything
 * meanwhile, as those of its materialized views that a file has made may need to. After a failure it stays as it is: the cluster goes.
 */
export async function withPlainImportRole<T>(
  instance: Instance,
  signal: AbortSignal,
  work: () => Promise<T>,
): Promise<T> {
  const there = await maskingSession(instance, LAB_DATABASE, disarm, { signal })
  const result = await work()
  if (there) await maskingSession(instance, LAB_DATABASE, rearm, { signal })
  return result
}

async function disarm(client: Client): Promise<boolean> {
  const { rowCount } = await client.query('select from pg_authid where rolname = $1 and rolsuper', [IMPORT_ROLE])
  if (rowCount === 0) return false
  await client.query(`alter role ${IMPORT_ROLE} nosuperuser bypassrls`)
  await client.query(`grant pg_read_all_data to ${IMPORT_ROLE}`)
  return true
}

async function rearm(client: Client): Promise<void> {
  await client.query(`revoke pg_read_all_data from ${IMPORT_ROLE}`)
  await client.query(`alter role ${IMPORT_ROLE} superuser nobypassrls`)
}
