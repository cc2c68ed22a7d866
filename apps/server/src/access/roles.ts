import type { Role } from '@dblab/models'

const RANK: Readonly<Record<Role, number>> = { viewer: 0, member: 1, admin: 2 }

/**
 * The least role that each operation of the API takes, by its id in the document. What a member may do, it may do to its own alone: that is
 * decided where the clone or snapshot is known (caller-clones.ts, caller-snapshots.ts).
 */
const leastRoles: Readonly<Record<string, Role>> = {
  StatusStatus: 'viewer',
  MetricsRead: 'viewer',
  CloneList: 'viewer',
  CloneGet: 'viewer',
  SnapshotList: 'viewer',
  EventWatch: 'viewer',
  CloneCreate: 'member',
  CloneUpdate: 'member',
  CloneReset: 'member',
  CloneDelete: 'member',
  SnapshotCreate: 'member',
  SnapshotDelete: 'member',
  SnapshotUpdate: 'member',
  RetrievalGet: 'viewer',
  RetrievalRefresh: 'admin',
  RetrievalCancel: 'admin',
  TokenList: 'admin',
  TokenCreate: 'admin',
  TokenDelete: 'admin',
  AuditList: 'admin',
}

/** An operation that nobody thought of is for admins alone. */
export function leastRoleOf(operation: string): Role {
  return leastRoles[operation] ?? 'admin'
}

/** The operations that somebody thought of. */
export const knownOperations: readonly string[] = Object.keys(leastRoles)

export function mayCall(role: Role, operation: string): boolean {
  return RANK[role] >= RANK[leastRoleOf(operation)]
}
