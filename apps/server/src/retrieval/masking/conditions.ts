import { setTimeout as delay } from 'node:timers/promises'
import { type Instance, LAB_DATABASE, ProvisionError } from '@dblab/provision'
import type { Client } from 'pg'
import { maskingSession } from './session.ts'

/** What has to be so for the scrub to leave nothing of the old values, and why. */
const SETTINGS: Readonly<Record<string, string>> = {
  // Old segments are removed, not kept under a new name with what they held.
  wal_recycle: 'off',
  // New ones are filled with zeros.
  wal_init_zero: 'on',
  wal_keep_size: '0',
  archive_mode: 'off',
  autovacuum: 'off',
  // PostgreSQL 14 and 15 alone: rows would count as still needed for so many transactions.
  vacuum_defer_cleanup_age: '0',
}

/**
 * The databases of the cluster that data may be in, all of them open to the lab.
 *
 * @throws ProvisionError FAILED or INVALID where masking could not be complete
 */
export async function checkConditions(instance: Instance, signal: AbortSignal): Promise<string[]> {
  return maskingSession(
    instance,
    LAB_DATABASE,
    async (client) => {
      await checkSettings(client)
      await checkNothingWaits(client)
      return databases(client)
    },
    { signal },
  )
}

async function checkSettings(client: Client): Promise<void> {
  const { rows } = await client.query<{ name: string; setting: string }>(
    'select name, setting from pg_settings where name = any ($1)',
    [Object.keys(SETTINGS)],
  )
  const wrong = rows.filter(({ name, setting }) => SETTINGS[name] !== setting).map(({ name }) => name)
  if (wrong.length === 0) return
  throw new ProvisionError('FAILED', `Postgres was not started for masking: ${wrong.join(', ')} must be otherwise`, {
    hint: `Leave ${wrong.join(', ')} out of postgres.settings.`,
  })
}

/** The sessions of what brought the data in are told to end; that takes them a moment. */
const PATIENCE_MS = 10_000

const SESSIONS = 'other sessions'

/** Whatever may still need an old version of a row keeps VACUUM from removing it, and a slot keeps WAL. */
async function checkNothingWaits(client: Client): Promise<void> {
  const deadline = Date.now() + PATIENCE_MS
  let waiting = await whatWaits(client)
  while (waiting.some((what) => what.endsWith(SESSIONS)) && Date.now() < deadline) {
    await delay(100)
    waiting = await whatWaits(client)
  }
  if (waiting.length === 0) return
  throw new ProvisionError('FAILED', `the data can't be masked while there are ${waiting.join(' and ')} in it`, {
    hint: 'They keep old values alive. Prepared transactions and slots of the source are to be removed as the data is brought in.',
  })
}

async function whatWaits(client: Client): Promise<string[]> {
  const { rows } = await client.query<{ count: number; what: string }>(
    `select count(*)::int as count, 'prepared transactions' as what from pg_prepared_xacts
     union all select count(*)::int, 'replication slots' from pg_replication_slots
     union all select count(*)::int, '${SESSIONS}' from pg_stat_activity where backend_type = 'client backend' and pid <> pg_backend_pid()`,
  )
  return rows.filter(({ count }) => count > 0).map(({ count, what }) => `${count} ${what}`)
}

async function databases(client: Client): Promise<string[]> {
  const { rows } = await client.query<{ name: string; open: boolean }>(
    `select datname::text as name, datallowconn and datconnlimit <> -2 as open from pg_database
     where datname not in ('template0', $1) order by datname`,
    [LAB_DATABASE],
  )
  const closed = rows.filter(({ open }) => !open).map(({ name }) => JSON.stringify(name))
  if (closed.length === 0) return rows.map(({ name }) => name)
  throw new ProvisionError('INVALID', `databases that take no connections can't be masked: ${closed.join(', ')}`, {
    hint: 'In the source: ALTER DATABASE … ALLOW_CONNECTIONS true, or DROP DATABASE.',
  })
}
