import { type LabAddress, withLabConnection } from './connect.ts'
import { LAB_DATABASE, LAB_ROLE } from './names.ts'

/**
 * What Postgres has counted of users' sessions, in every database but the lab's own. Its counts of transactions tell no more: every user's
 * is part of a session, and autovacuum's are among them.
 */
export interface ActivitySample {
  /** Connected now, busy or not, the lab's own connections left out. */
  openSessions: number
  /** Ever begun, since the counters were last reset. The lab's connections to a database of the data count too. */
  sessions: number
}

/** Read over the lab's own database, so that looking does not count as use. */
export async function sampleActivity(instance: LabAddress, signal?: AbortSignal): Promise<ActivitySample> {
  return withLabConnection(
    instance,
    LAB_DATABASE,
    async (client) => {
      const { rows } = await client.query<Record<keyof ActivitySample, string>>(
        `select
           (select count(*) from pg_stat_activity
             where backend_type in ('client backend', 'walsender') and usename is not null and usename <> $1) as "openSessions",
           coalesce(sum(sessions), 0) as sessions
         from pg_stat_database where datname <> $2`,
        [LAB_ROLE, LAB_DATABASE],
      )
      const [row] = rows
      return {
        openSessions: Number(row?.openSessions ?? 0),
        sessions: Number(row?.sessions ?? 0),
      }
    },
    { signal, timeoutMs: 10_000 },
  )
}

/**
 * Whether somebody used the instance between two samples, or uses it now: an open session is use, however quiet, and so is one that
 * came and went. Counters that went back were reset by a restart, of which nobody can tell who worked before it: that is use as well.
 */
export function wasUsed(before: ActivitySample, after: ActivitySample): boolean {
  return after.openSessions > 0 || after.sessions !== before.sessions
}
