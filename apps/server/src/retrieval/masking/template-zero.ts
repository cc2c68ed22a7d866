import { FIRST_OWN_OID, type Instance, LAB_DATABASE, ProvisionError } from '@dblab/provision'
import type { Client } from 'pg'
import { maskingSession } from './session.ts'

/**
 * template0 is not masked, and whoever may make databases can copy it: so there must be nothing in it but what initdb has put there. It is
 * opened for the look, and then as it was.
 *
 * @throws ProvisionError INVALID where it has something of its own, or can't be looked into
 */
export async function checkTemplateZero(instance: Instance, signal: AbortSignal): Promise<void> {
  const state = await maskingSession(instance, LAB_DATABASE, stateOf, { signal })
  if (!state) return
  if (!state.valid) throw refusal("can't be looked into")
  if (!state.open) await allowConnections(instance, true, signal)
  const own = await maskingSession(instance, 'template0', ownThings, { signal })
  // After an error nobody will use the cluster.
  if (!state.open) await allowConnections(instance, false, signal)
  if (own.length > 0) throw refusal(`has something of its own: ${own.join(', ')}`)
}

async function stateOf(client: Client): Promise<{ open: boolean; valid: boolean } | undefined> {
  const { rows } = await client.query<{ open: boolean; valid: boolean }>(
    `select datallowconn as open, datconnlimit <> -2 as valid from pg_database where datname = 'template0'`,
  )
  return rows[0]
}

async function allowConnections(instance: Instance, open: boolean, signal: AbortSignal): Promise<void> {
  const statement = `alter database template0 allow_connections ${open}`
  await maskingSession(instance, LAB_DATABASE, (client) => client.query(statement), { signal })
}

/** How many things one error names. */
const MOST_NAMES = 3

async function ownThings(client: Client): Promise<string[]> {
  const { rows } = await client.query<{ name: string }>(
    `(select format('%I.%I', n.nspname, c.relname) as name from pg_class c join pg_namespace n on n.oid = c.relnamespace
      where c.oid >= ${FIRST_OWN_OID} and c.relkind not in ('t', 'i') order by 1 limit ${MOST_NAMES})
     union all (select 'large objects' from pg_largeobject_metadata limit 1)`,
  )
  return rows.map(({ name }) => name)
}

function refusal(what: string): ProvisionError {
  return new ProvisionError('INVALID', `the database template0, which every user of a clone can copy, ${what}`, {
    hint: 'In the source: ALTER DATABASE template0 ALLOW_CONNECTIONS true, drop in it what is not of PostgreSQL, and close it again.',
  })
}
