import type { Clone } from '@dblab/models'
import type { CloneRecord } from '../catalogue/clones.ts'

/** A record as the wire has it: field by field, so that nothing else ever goes out. */
export function toClone(
  record: CloneRecord,
  { publicHost, tls }: { publicHost: string; tls: boolean },
  { starting, down }: { starting: boolean; down: string | undefined },
): Clone {
  const status = statusOf(record, starting, down)
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
    resetFailedAt: record.resetFailedAt ?? '',
  }
}

/** The catalogue says what should be: a clone that is OK there may still be on its way up. */
function statusOf(record: CloneRecord, starting: boolean, down: string | undefined): Clone['status'] {
  if (record.status === 'OK' && starting)
    return { code: 'CREATING', message: 'Database is starting again, with the data it had' }
  if (record.status === 'OK' && down !== undefined) return { code: 'FATAL', message: down }
  return { code: record.status, message: record.message }
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
