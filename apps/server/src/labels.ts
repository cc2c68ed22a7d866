import type { Labels } from '@dblab/provision'

/** What the storage itself is told of a volume or a snapshot, so that it can be known without the catalogue. */
type Role = 'base' | 'clone' | 'scratch' | 'internal'

/**
 * Of a snapshot, or of a volume that stands on it.
 *
 * @param of.timestamp when the data was true at the source
 */
export function snapshotLabels(role: Role, of: { database: string; timestamp: string }): Labels {
  // Postgres takes any character in a name; a label is printable.
  return { role, database: encodeURIComponent(of.database), 'data-state-at': of.timestamp }
}
