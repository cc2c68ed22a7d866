import type { Catalogue } from '../catalogue/catalogue.ts'
import type { SnapshotRecord } from '../catalogue/snapshots.ts'
import { isUnmasked } from '../snapshots/choose.ts'
import { usersOf } from '../snapshots/snapshot-service.ts'

export interface Retention {
  /** The newest generations that stay. */
  count: number
  /** Older ones than this go though they are among those, but for the newest; undefined for no bound. */
  days: number | undefined
  /** Masking is configured: what was not masked comes after all that was. */
  masked: boolean
}

const DAY_MS = 86_400_000

/**
 * Retires the snapshots of generations that are too many or too old, and says which. What a clone stands on, or somebody protected, stays, and so
 * do the newest generation and the one that was made last; once its last clone is gone, an old one's turn comes. Snapshots taken of clones are those who took them's.
 */
export function applyRetention(catalogue: Catalogue, { count, days, masked }: Retention, now = Date.now()): string[] {
  const newestFirst = catalogue.snapshots.listPublished().filter(({ cloneId }) => cloneId === '')
  const isLast = (snapshot: SnapshotRecord) => Number(masked && isUnmasked(snapshot))
  const own = newestFirst.toSorted((a, b) => isLast(a) - isLast(b))
  const generations = [...new Set(own.map(({ volumeId }) => volumeId))]
  // It may bring older data than there is, and is what somebody has just waited for.
  const lastMade = own
    .filter((snapshot) => isLast(snapshot) === 0)
    .toSorted((a, b) => (a.createdAt < b.createdAt ? 1 : -1))[0]?.volumeId
  const kept = new Set(generations.slice(0, count))
  const isOld = (timestamp: string) => days !== undefined && now - Date.parse(timestamp) > days * DAY_MS
  const due = own.filter(
    (snapshot) =>
      snapshot.volumeId !== generations[0] &&
      snapshot.volumeId !== lastMade &&
      (!kept.has(snapshot.volumeId) || isOld(snapshot.timestamp)) &&
      !snapshot.protected,
  )
  if (due.length === 0) return []
  const clones = catalogue.clones.list()
  const retired = due.filter(({ id }) => usersOf(id, clones).length === 0)
  for (const { id } of retired) catalogue.evenIfFull(() => catalogue.snapshots.setState(id, 'retired'))
  return retired.map(({ id }) => id)
}
