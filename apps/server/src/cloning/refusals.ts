import { assertUserName, isProvisionError } from '@dblab/provision'
import type { CloneRecord } from '../catalogue/clones.ts'
import type { SnapshotRecord } from '../catalogue/snapshots.ts'
import { LabError } from '../errors.ts'
import { requireFuture, requireTime } from '../time.ts'

export function requireUnprotected(clone: CloneRecord): void {
  if (clone.protected) throw new LabError('CLONE_PROTECTED', 'the clone is protected')
}

/** Whoever sends back what was read may: a protected clone outlives its time. */
export function newDeadline(clone: CloneRecord, deleteAt: string | null): string | null {
  if (!deleteAt) return null
  return requireTime(deleteAt, 'deleteAt') === clone.deleteAt ? clone.deleteAt : requireFuture(deleteAt, 'deleteAt')
}

/** The roles that are the lab's own, and those that Postgres reserves. */
export function requireAllowedUsername(username: string): void {
  try {
    assertUserName(username)
  } catch (error) {
    if (isProvisionError(error, 'INVALID')) throw new LabError('USERNAME_NOT_ALLOWED', error.message, { cause: error })
    throw error
  }
}

/** A superuser could run programs on the lab's machine. */
export function requireNoSuperuser({ superuser }: SnapshotRecord, username: string, allowSuperusers: boolean): void {
  if (allowSuperusers || superuser === '' || username !== superuser) return
  throw new LabError(
    'USERNAME_NOT_ALLOWED',
    "this role is the data's own superuser, which no clone's user may be unless postgres.allowSuperusers is set",
  )
}

export function requireDatabase(snapshot: SnapshotRecord, name: string): void {
  if (snapshot.databases.includes(name)) return
  throw databaseNotFound(snapshot)
}

export function databaseNotFound(snapshot: SnapshotRecord): LabError {
  return new LabError('DATABASE_NOT_FOUND', `the snapshot has these databases: ${snapshot.databases.join(', ')}`)
}

/** Of a clone of a rebuilt catalogue whose data can't be read, or has the user no more. */
export function loginUnknown(): LabError {
  return new LabError(
    'CLONE_NOT_READY',
    'the login of the clone was lost with the catalogue: it can be deleted, but not reset before it has started once',
  )
}

export function cloneNotFound(): LabError {
  return new LabError('CLONE_NOT_FOUND', 'there is no clone with this id')
}

export function idTaken(): LabError {
  return new LabError('CLONE_ALREADY_EXISTS', 'there is a clone with this id')
}
