import type { Client } from 'pg'
import { type LabAddress, withLabConnection } from '../postgres/connect.ts'
import { lastWords } from '../postgres/process/failure.ts'

/** How a standby follows its source. */
export interface StandbyHealth {
  /** WAL streams from the source. */
  isReceiving: boolean
  /** Why not, in Postgres' own last words about it. */
  problem: string | undefined
  /** The source has thrown WAL away that this one still wants, or is another cluster by now: following needs a new copy of it. */
  isLost: boolean
  replayedLsn: string
  timeline: number | undefined
  /** What the source has written, as far as it has told, and is not replayed. */
  lagBytes: number
  /** 0 while all is replayed that the source has told of; else since it last was, or the last commit that is, by the clocks of both. */
  lagSeconds: number | undefined
  /** Of the last commit that was replayed. */
  replayedCommitAt: Date | undefined
  /** When the source last told of WAL that is all replayed, by its clock, since this process looks: the data here is no older. */
  caughtUpAt: Date | undefined
}

/** As the server says it. */
export interface StandbyView {
  isInRecovery: boolean
  isPaused: boolean
  superuserOid: number
  isReceiving: boolean
  replayedLsn: string
  timeline: number | undefined
  lagBytes: number
  replayedCommitAt: Date | undefined
  /** By the source's clock, if all is replayed that it had told of. */
  hasAllOf: Date | undefined
  /** By the clock of this machine. */
  at: Date
}

interface Told {
  /** `streaming`, or what comes before it. */
  status: string
  lsn: string | null
  timeline: number
  toldAt: Date | null
}

interface Replayed {
  isInRecovery: boolean
  pauseState: string
  superuserOid: number
  lsn: string
  lagBytes: string
  replayedCommitAt: Date | null
  at: Date
}

/** A receiver that has just connected has no word of the source's yet, and writes the same time for both. */
const TOLD = `
  select status, latest_end_lsn::text as lsn, received_tli as timeline,
    case when last_msg_send_time <> last_msg_receipt_time then last_msg_send_time end as "toldAt"
  from pg_stat_wal_receiver`

const REPLAYED = `
  select pg_is_in_recovery() as "isInRecovery", pg_get_wal_replay_pause_state() as "pauseState",
    (select oid::int from pg_authid where rolname = current_user) as "superuserOid",
    replayed.lsn::text, greatest(pg_wal_lsn_diff(greatest($1::pg_lsn, replayed.lsn), replayed.lsn), 0)::text as "lagBytes",
    pg_last_xact_replay_timestamp() as "replayedCommitAt", clock_timestamp() as at
  from (select coalesce(pg_last_wal_replay_lsn(), '0/0') as lsn offset 0) replayed`

/** @throws as `withLabConnection`; a standby that is not consistent yet lets nobody in */
export async function viewStandby(instance: LabAddress, superuser: string, signal?: AbortSignal): Promise<StandbyView> {
  return withLabConnection(instance, 'template1', look, { superuser, signal })
}

/** What was told of is asked before what is replayed: no standby is taken to have caught up that has not. */
async function look(client: Client): Promise<StandbyView> {
  const [told] = (await client.query<Told>(TOLD)).rows
  const [replayed] = (await client.query<Replayed>(REPLAYED, [told?.lsn ?? null])).rows
  if (replayed === undefined) throw new Error('a standby has answered without a row')
  const { isInRecovery, superuserOid, lsn, at } = replayed
  const isReceiving = told?.status === 'streaming'
  const lagBytes = Number(replayed.lagBytes)
  const hasAll = isReceiving && lagBytes === 0 && told.lsn !== null
  return {
    ...{ isInRecovery, superuserOid, isReceiving, lagBytes, at },
    isPaused: replayed.pauseState === 'paused',
    replayedLsn: lsn,
    timeline: told?.timeline,
    replayedCommitAt: replayed.replayedCommitAt ?? undefined,
    hasAllOf: hasAll ? (told.toldAt ?? undefined) : undefined,
  }
}

const AMISS = /\b(?:FATAL|ERROR|WARNING|PANIC): /
/**
 * What a source says that has no such WAL any more (walsender.c, slot.c), or whose history is another by now, and a receiver of one that is
 * another cluster (walreceiver.c).
 */
const LOST = new RegExp(
  [
    'requested WAL segment \\S+ has already been removed',
    'can no longer (?:get changes from|access) replication slot',
    "is not in this server's history",
    'database system identifier differs',
    'highest timeline \\d+ of the primary is behind recovery timeline',
  ].join('|'),
)

/** Why nothing is received, by the end of the log. */
export function standbyProblem(log: readonly string[], hasArchive: boolean): Pick<StandbyHealth, 'problem' | 'isLost'> {
  const last = log.findLast((line) => AMISS.test(line) && !/^\s/.test(line))
  if (last === undefined) return { problem: 'it has not begun to receive yet', isLost: false }
  // What the source has thrown away, an archive may still have.
  return { problem: wordsOf(last), isLost: !hasArchive && LOST.test(last) }
}

/** Of a line of a log, without when it was written, and by which process. */
export function wordsOf(line: string): string {
  return lastWords([line.replace(/^\S+ \S+ \S+ \[\d+\] /, '')]).replace(/^[:,] /, '')
}
