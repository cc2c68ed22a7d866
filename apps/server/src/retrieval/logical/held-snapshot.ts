import { isProvisionError, ProvisionError } from '@dblab/provision'
import type { Client } from 'pg'
import { InterruptedError } from '../interrupted.ts'
import { connectSource, explainQuery, type SourceLogin } from '../live/session.ts'
import { watch } from '../tools/watch.ts'

/** Who holds a snapshot only looks how far others are; a source that is cut off is to be known for it soon. */
const STATEMENT_TIMEOUT_MS = 15_000
/** How long the source keeps a snapshot that nobody asks for: the lab may be stopped or suspended, with its connections as they were. */
const UNASKED_MS = 60_000
const ASK_EVERY_MS = 15_000

/**
 * A state of a source's database that its server keeps readable, for as long as this is not disposed. The source itself lets it go when its time is
 * over, and within a minute where the lab does not run on.
 */
export interface HeldSnapshot extends AsyncDisposable {
  database: string
  /** What `SET TRANSACTION SNAPSHOT` takes, in this database alone. */
  id: string
  /** When the data was so, by the source's clock; of a standby, the last commit that it had replayed. */
  takenAt: Date
  /** Where the source's log was. */
  lsn: string
  /** Aborted when the source has ended the connection, or does not answer: the snapshot is gone then. TIMEOUT where its time was over. */
  lost: AbortSignal
  /** Bytes that COPY has read so far in what the lab has under way there; 0 where the server does not say (before PostgreSQL 14). */
  copiedBytes(): Promise<number>
}

/**
 * Takes and exports a snapshot. While it is held, the source's vacuum removes nothing that is younger, so its time is bounded.
 * https://www.postgresql.org/docs/current/functions-admin.html#FUNCTIONS-SNAPSHOT-SYNCHRONIZATION
 *
 * @param until when the source is to let it go, if nobody has before
 * @throws ProvisionError INVALID, FAILED, TIMEOUT; InterruptedError
 */
export async function holdSnapshot(login: SourceLogin, database: string, until: Date): Promise<HeldSnapshot> {
  const client = await connectSource(login, database, { statementTimeoutMs: STATEMENT_TIMEOUT_MS })
  const lost = new AbortController()
  // The source lets go at the same moment at which pg_dump is stopped: whichever is seen first, the reason is the time.
  const explain = (error: unknown): unknown => {
    const reason = explainQuery(error)
    return reason instanceof InterruptedError && Date.now() >= until.getTime() ? heldTooLong() : reason
  }
  client.on('error', (error) => lost.abort(explain(error)))
  client.on('end', () => lost.abort(explain(new Error('Connection terminated'))))
  try {
    const snapshot = await takeSnapshot(client, until)
    const ask = <T>(question: () => Promise<T>): Promise<T> =>
      question().catch((error: unknown) => {
        const reason = explain(error)
        if (reason instanceof InterruptedError || isProvisionError(reason, 'TIMEOUT')) lost.abort(reason)
        throw reason
      })
    const asked = watch(ASK_EVERY_MS, () => ask(() => keep(client, until)))
    return {
      database,
      ...snapshot,
      lost: lost.signal,
      copiedBytes: () => ask(() => copiedBytes(client, until)),
      // Together: a question that is on its way ends with the connection.
      [Symbol.asyncDispose]: async () => {
        await Promise.all([asked[Symbol.asyncDispose](), client.leave()])
      },
    }
  } catch (error) {
    await client.leave()
    throw explain(error)
  }
}

export function heldTooLong(): ProvisionError {
  return new ProvisionError(
    'TIMEOUT',
    "the source's snapshot was held as long as is allowed, and the dump was stopped",
    {
      hint: "Raise maxSnapshotMinutes, or the number of jobs; a snapshot that is held keeps the source's vacuum from cleaning up. A standby can be the source as well.",
    },
  )
}

/**
 * Each question begins the source's patience anew, so it is told with each how much is left.
 * https://www.postgresql.org/docs/current/runtime-config-client.html#GUC-IDLE-IN-TRANSACTION-SESSION-TIMEOUT
 */
async function keep(client: Client, until: Date): Promise<void> {
  // 0 would be no bound.
  const patienceMs = Math.max(1, Math.min(UNASKED_MS, until.getTime() - Date.now()))
  await client.query(`SET LOCAL idle_in_transaction_session_timeout = ${patienceMs}`)
}

/** https://www.postgresql.org/docs/current/progress-reporting.html#COPY-PROGRESS-REPORTING */
async function copiedBytes(client: Client, until: Date): Promise<number> {
  await keep(client, until)
  // Without it, a transaction sees what was so when it looked first.
  await client.query('SELECT pg_stat_clear_snapshot()')
  const { rows } = await client.query<{ bytes: string }>(`
    SELECT coalesce(sum(p.bytes_processed), 0) AS bytes FROM pg_stat_progress_copy p JOIN pg_stat_activity a USING (pid)
    WHERE a.application_name = 'dblab' AND a.usename = current_user AND p.datname = current_database()`)
  return Number(rows[0]?.bytes ?? 0)
}

async function takeSnapshot(client: Client, until: Date): Promise<Pick<HeldSnapshot, 'id' | 'takenAt' | 'lsn'>> {
  await client.query('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY')
  await keep(client, until)
  // The first statement takes the snapshot, and begins just before.
  const { rows } = await client.query<{ id: string; at: Date; lsn: string }>(`
    SELECT pg_export_snapshot() AS id,
      CASE WHEN pg_is_in_recovery() THEN coalesce(pg_last_xact_replay_timestamp(), statement_timestamp())
        ELSE statement_timestamp() END AS at,
      CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END::text AS lsn`)
  const [row] = rows
  if (!row) throw new Error('the source answered without a row')
  return { id: row.id, takenAt: row.at, lsn: row.lsn }
}
