import { isProvisionError, ProvisionError, type ProvisionErrorCode } from '../errors.ts'
import type { ClusterState, ControlData, SourceSettings } from '../postgres/control-file.ts'

/**
 * A program that fetches a file of WAL, as an argument list, or what makes one of the data directory that it is for (pgBackRest's
 * `--pg1-path`), in which it runs. In it, `%f` is the file's name, `%p` where it goes, `%r` the oldest file that is still wanted, and `%%` a
 * percent sign (manual, "restore_command"). Each argument reaches the program as it stands here, whatever is in it: Postgres has a shell
 * run it, for which it is quoted. It is seen in the list of processes, so no secret belongs in it.
 */
export type RestoreCommand = readonly string[] | ((dataDir: string) => readonly string[])

/** How far WAL is replayed, and where it comes from beside the cluster's own pg_wal. */
export interface RecoverySpec {
  restoreCommand?: RestoreCommand | undefined
  /**
   * The status by which that program says that the archive has no such file. Any other failure then ends the recovery; if left out, Postgres
   * takes each for the end of the archive, and so an archive that can't be read for one that ends there.
   */
  notFoundStatus?: number | undefined
  /** To the end of all WAL, if left out. */
  target?: RecoveryTarget | undefined
  /** Whose WAL is replayed, where an archive has several; the last one that the archive knows, if left out. */
  timeline?: number | undefined
}

/** The first consistent state; the record that begins at, or first after, an LSN, with it; the last commit up to a time. */
export type RecoveryTarget = 'immediate' | { lsn: string } | { time: Date }

/** Where the replay of a cluster's WAL has ended. */
export interface RecoveryOutcome {
  /** Where the last record that was replayed begins: a standby with this `recovery_target_lsn` stands at the same. */
  lsn: string
  timeline: number
  /** Of the last commit that was replayed, or of the last checkpoint before: the data is no older. */
  at: Date
}

/**
 * - `none`: the cluster was shut down.
 * - `crash`: what the server itself would do when it is started again. The timeline stays.
 * - `archive`: from the start of a backup, or as a standby that ends to follow, with the checks that it has come far enough. A new timeline.
 */
export type RecoveryKind = 'none' | 'crash' | 'archive'

export function recoveryKind(state: ClusterState, hasBackupLabel: boolean, spec: RecoverySpec): RecoveryKind {
  const wasStandby = state === 'shut down in recovery' || state === 'in archive recovery'
  if (hasBackupLabel || wasStandby || spec.restoreCommand || spec.target) return 'archive'
  return state === 'shut down' ? 'none' : 'crash'
}

/** Settings of the server that recovers. Nobody connects to it: `hot_standby` is off. */
export function recoverySettings(spec: RecoverySpec, dataDir: string, major: number): Record<string, string> {
  return {
    hot_standby: 'off',
    // Must be given, and `exit 1` is as good as an archive in which nothing is (xlogrecovery.c, validateRecoveryParameters).
    restore_command: spec.restoreCommand ? shellCommand(spec.restoreCommand, dataDir, spec.notFoundStatus) : 'exit 1',
    recovery_target_action: 'promote',
    ...targetSettings(spec.target),
    recovery_target_timeline: timelineSetting(spec.timeline),
    // Its log tells where it has ended: in English, since the command line sees to that, and in this time zone.
    log_min_messages: 'warning',
    timezone: 'UTC',
    checkpoint_timeout: '5min',
    // What was replayed is not kept for WAL to come: each clone would have it.
    wal_recycle: 'off',
    // Background workers of the source's extensions would begin as soon as it has recovered.
    shared_preload_libraries: '',
    session_preload_libraries: '',
    ...roomForOrigins(major),
  }
}

/** WAL of a subscriber names origins, for each of which the server that replays it needs room. */
export function roomForOrigins(major: number): Record<string, string> {
  return { max_replication_slots: '1000', ...(major >= 18 && { max_active_replication_origins: '1000' }) }
}

function targetSettings(target: RecoveryTarget | undefined): Record<string, string> {
  if (target === undefined) return {}
  if (target === 'immediate') return { recovery_target: 'immediate' }
  // Names of time zones, of which Z is one, are not known yet when it is read.
  if ('time' in target) return { recovery_target_time: target.time.toISOString().replace('T', ' ').replace('Z', '+00') }
  if (!/^[0-9A-Fa-f]{1,8}\/[0-9A-Fa-f]{1,8}$/.test(target.lsn))
    throw new ProvisionError('INVALID', 'the target of the recovery is no LSN', { hint: 'Write it as 16/B374D848.' })
  return { recovery_target_lsn: target.lsn }
}

function timelineSetting(timeline: number | undefined): string {
  if (timeline === undefined) return 'latest'
  if (Number.isSafeInteger(timeline) && timeline > 0) return String(timeline)
  throw new ProvisionError('INVALID', 'the timeline of the recovery is no number from 1 on')
}

/**
 * For POSIX's shell, in which nothing within single quotes means anything (POSIX, "Shell Command Language", 2.2.2).
 *
 * @param notFoundStatus see `RecoverySpec`
 */
export function shellCommand(restore: RestoreCommand, dataDir: string, notFoundStatus?: number): string {
  const argv = typeof restore === 'function' ? restore(dataDir) : restore
  if (argv.length === 0) throw new ProvisionError('INVALID', 'the command that fetches WAL is empty')
  const command = argv.map((argument) => `'${argument.replaceAll("'", `'\\''`)}'`).join(' ')
  if (notFoundStatus === undefined) return command
  return `${command}; case $? in 0) exit 0;; ${notFoundStatus}) exit 1;; *) exit ${ENDS_RECOVERY};; esac`
}

/** Above 128, and so as bad as a signal (manual, "restore_command"; wait_error.c, wait_result_is_any_signal). */
const ENDS_RECOVERY = 200

/** At least as much of everything as the server that wrote the WAL had, and as the lab's settings ask for. */
export function notBelow(
  source: Readonly<Partial<SourceSettings>>,
  settings: Readonly<Record<string, string>>,
): Record<string, string> {
  const raised = Object.entries(source).map(([name, value]) => {
    const own = Number(settings[name] ?? DEFAULTS.get(name) ?? 0)
    return [name, String(Math.max(value, Number.isInteger(own) ? own : 0))] as const
  })
  return { ...settings, ...Object.fromEntries(raised) }
}

/** Postgres' own, of those for which the lab has none. */
const DEFAULTS = new Map([
  ['max_connections', 100],
  ['max_worker_processes', 8],
  ['max_locks_per_transaction', 64],
])

/** A whole line of the server's own; what a program of the archive writes into the log has no such beginning. */
const line = (text: string) => new RegExp(`^\\S+ \\S+ \\S+ \\[\\d+\\] LOG: {2}${text}`)
const REDO_DONE = line('redo done at ([0-9A-F]+/[0-9A-F]+)')
const LAST_COMMIT = line('last completed transaction was at log time (\\S+ \\S+)\\+00$')

/**
 * Where a replay has ended, by what the server has logged of it.
 *
 * @param before as the cluster's control file was
 */
export function recoveryOutcome(log: readonly string[], before: ControlData, after: ControlData): RecoveryOutcome {
  const find = (pattern: RegExp) => log.map((text) => pattern.exec(text)?.[1]).findLast(Boolean)
  const committed = find(LAST_COMMIT)
  const times = [before.checkpointAt, ...(committed === undefined ? [] : [new Date(`${committed.replace(' ', 'T')}Z`)])]
  return {
    lsn: find(REDO_DONE) ?? before.checkpointLsn,
    timeline: after.timeline,
    at: new Date(Math.max(...times.map(Number))),
  }
}

const REASONS: ReadonlyArray<[RegExp, string, string, ProvisionErrorCode?]> = [
  [
    /could not restore file ".*" from archive/,
    'the archive could not be read while WAL was replayed',
    'See that its storage is there and answers, and try again.',
    'UNAVAILABLE',
  ],
  [
    /requested recovery stop point is before consistent recovery point/,
    'the target of the recovery lies before the end of the backup',
    'Choose a later target, or an earlier backup.',
  ],
  [
    /recovery ended before configured recovery target was reached/,
    'the WAL that is there ends before the target of the recovery',
    'Choose an earlier target, or give a restoreCommand that has the rest of the WAL.',
  ],
  [
    /could not (?:locate|find) (?:a valid|required) checkpoint record|invalid (?:primary )?checkpoint record|could not find redo location/,
    'the copy lacks the WAL that its recovery begins with',
    'Take it with its WAL (pg_basebackup --wal-method=stream), or give a restoreCommand.',
  ],
  [
    /WAL ends before (?:end of online backup|consistent recovery point)|all WAL generated while online backup was taken must be available/,
    'the copy lacks WAL that it needs to be consistent',
    'Take it with its WAL (pg_basebackup --wal-method=stream), or give a restoreCommand.',
  ],
  [
    /directory ".*" does not exist/,
    'the source made a tablespace while the copy was taken',
    'Take the copy again, now that it is there.',
  ],
  [
    /resource manager with ID \d+ not registered/,
    'the WAL of the data is of an extension that has its own kind of it',
    'Such data can only be brought in as a dump.',
  ],
  [
    /WAL was generated with wal_level=minimal, cannot continue recovering/,
    'the source wrote too little WAL for a copy (wal_level=minimal)',
    'Set wal_level to replica on the source, and take the copy again.',
  ],
]

/** What the failure of a start that was to recover means. */
export function explainRecovery(error: unknown): unknown {
  if (!isProvisionError(error, 'FAILED')) return error
  const reason = REASONS.find(([pattern]) => pattern.test(error.message))
  if (!reason) return error
  const [, message, hint, code = 'INVALID'] = reason
  return new ProvisionError(code, message, { hint, cause: error })
}
