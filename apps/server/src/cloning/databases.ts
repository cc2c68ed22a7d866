import type { CloneRecord } from '../catalogue/clones.ts'
import type { SnapshotRecord } from '../catalogue/snapshots.ts'

/**
 * The database that a clone's address names once it stands on another snapshot: the same one, or the other's main one where it was the
 * main one before, whose name may be new with every import. Undefined when the snapshot has neither.
 */
export function databaseAfter(clone: CloneRecord, from: SnapshotRecord | undefined, to: SnapshotRecord) {
  if (to.databases.includes(clone.dbName)) return clone.dbName
  return clone.dbName === from?.database ? to.database : undefined
}
