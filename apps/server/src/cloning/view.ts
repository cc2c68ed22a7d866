import type { Clone } from '@dblab/models'
import type { CloneRecord } from '../catalogue/clones.ts'

/** A record as the wire has it: field by field, so that nothing else ever goes out. */
export function toClone(record: CloneRecord, publicHost: string, starting: boolean): Clone {
  const status: Clone['status'] = starting
    ? { code: 'CREATING', message: 'Database is starting again, with the data it had' }
    : { code: record.status, message: record.message }
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
      connStr: connectionString({ ...record, host: publicHost }),
    },
    protected: record.protected,
    deleteAt: record.deleteAt ?? '',
    name: record.name,
    username: record.username,
    createdAt: record.createdAt,
    cloneSize: record.size,
    cloningTime: record.cloningSeconds,
  }
}

/** A URI that libpq, node-postgres and their kind take as it is; never with a password. */
function connectionString(of: { dbUsername: string; dbName: string; host: string; port: number }): string {
  const host = of.host.includes(':') ? `[${of.host}]` : of.host
  return `postgresql://${encodeURIComponent(of.dbUsername)}@${host}:${of.port}/${encodeURIComponent(of.dbName)}`
}
