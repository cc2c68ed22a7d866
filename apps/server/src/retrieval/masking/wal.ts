import { type Instance, LAB_DATABASE, ProvisionError } from '@dblab/provision'
import type { Client } from 'pg'
import { maskingSession } from './session.ts'

/** A switch at each of them: of a copy, pg_wal may hold as many as max_wal_size, kept for later with what they once held. */
const MOST_SWITCHES = 20_000

/**
 * Goes on to a new WAL segment behind every one that there is, and has Postgres remove those. What is logged from here on is of masked data.
 * https://www.postgresql.org/docs/current/wal-configuration.html
 *
 * @throws ProvisionError FAILED where an older file stays
 */
export async function leaveWalBehind(instance: Instance, signal: AbortSignal): Promise<void> {
  await maskingSession(instance, LAB_DATABASE, leaveBehind, { signal })
}

async function leaveBehind(client: Client): Promise<void> {
  const last = (await segments(client)).at(-1) ?? ''
  let current = ''
  for (let switches = 0; current <= last; switches++) {
    if (switches > MOST_SWITCHES) throw stuck([last])
    // Without a record since the last one, a switch does nothing.
    await client.query(`select pg_logical_emit_message(false, 'dblab', ''), pg_switch_wal()`)
    const { rows } = await client.query<{ number: string }>(
      `select substring(pg_walfile_name(pg_current_wal_insert_lsn() + 1) from 9) as number`,
    )
    current = rows[0]?.number ?? ''
  }
  await client.query('checkpoint')
  await client.query('checkpoint')
  const left = (await segments(client)).filter((number) => number < current)
  if (left.length > 0) throw stuck(left)
}

/** Their numbers, without the timeline before them: a copy may have some of an older one. */
async function segments(client: Client): Promise<string[]> {
  const { rows } = await client.query<{ number: string }>(
    `select substring(name from 9) as number from pg_ls_waldir() where name ~ '^[0-9A-F]{24}$' order by substring(name from 9) collate "C"`,
  )
  return rows.map(({ number }) => number)
}

function stuck(names: readonly string[]): ProvisionError {
  return new ProvisionError('FAILED', `WAL from before the masking stays: ${names.slice(0, 3).join(', ')}`, {
    hint: 'Something keeps it: a replication slot, or a setting such as wal_keep_size in postgres.settings.',
  })
}
