import type { Clone } from '@dblab/models'
import type { CloneRecord } from '../catalogue/clones.ts'

/** What is true of a clone at the moment, and in no catalogue. */
export interface CloneNow {
  /** Its Postgres is about to be started again. */
  starting: boolean
  /** Why it could not be. */
  down: string | undefined
  queuePosition: number
  diskQuota: number | undefined
}

/** Where clones are reached. */
export interface CloneAddress {
  publicHost: string
  /** They take connections over TLS alone. */
  tls: boolean
}

/** From this share of its quota on, a clone says how much of it is left. */
const NEARLY = 0.9

/** A record as the wire has it: field by field, so that nothing else ever goes out. */
export function toClone(record: Readonly<CloneRecord>, { publicHost, tls }: CloneAddress, now: CloneNow): Clone {
  const status = statusOf(record, now)
  return {
    id: record.id,
    status,
    project: record.project,
    snapshot: record.snapshotId,
    db: {
      username: record.dbUsername,
      password: '',
      host: publicHost,
      port: String(record.port),
      dbName: record.dbName,
      connStr: connectionString({ ...record, host: publicHost, tls }),
    },
    protected: record.protected,
    deleteAt: record.deleteAt ?? '',
    name: record.name,
    username: record.username,
    createdAt: record.createdAt,
    cloneSize: record.size,
    cloningTime: record.cloningSeconds,
    profile: record.profile,
    steps: record.steps,
    resetFailedAt: record.resetFailedAt ?? '',
    queuePosition: now.queuePosition,
    ...(now.diskQuota !== undefined && { diskQuota: now.diskQuota }),
  }
}

/** The catalogue says what should be: a clone that is OK there may still be on its way up. */
function statusOf(
  record: Readonly<CloneRecord>,
  { starting, down, queuePosition, diskQuota }: CloneNow,
): Clone['status'] {
  if (record.status === 'OK' && starting)
    return { code: 'CREATING', message: 'Database is starting again, with the data it had' }
  if (record.status === 'OK' && down !== undefined) return { code: 'FATAL', message: down }
  const isWaiting = queuePosition > 0 && (record.status === 'CREATING' || record.status === 'RESETTING')
  if (isWaiting)
    return { code: record.status, message: `Waiting for ${queuePosition} other${queuePosition === 1 ? '' : 's'}` }
  const isNearlyFull = record.status === 'OK' && diskQuota !== undefined && record.size >= diskQuota * NEARLY
  const quota = isNearlyFull ? `; of its disk quota of ${diskQuota} bytes, it has used ${record.size}` : ''
  return { code: record.status, message: `${record.message}${quota}` }
}

/**
 * A URI that libpq, node-postgres and their kind take as it is; never with a password. Where the clone wants TLS, those that do not try it
 * by themselves are told to: `require` is the one word that all of them know, though node-postgres takes it for `verify-full`.
 */
function connectionString(of: {
  dbUsername: string
  dbName: string
  host: string
  port: number
  tls: boolean
}): string {
  const host = of.host.includes(':') ? `[${of.host}]` : of.host
  return `postgresql://${encodeURIComponent(of.dbUsername)}@${host}:${of.port}/${encodeURIComponent(of.dbName)}${of.tls ? '?sslmode=require' : ''}`
}
