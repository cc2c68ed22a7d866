import type { SnapshotRecord } from '../catalogue/snapshots.ts'
import { LabError } from '../errors.ts'
import { parseTime } from '../time.ts'

/**
 * A snapshot by its id; or the lab's own newest whose data is not newer than a time, or the newest of all for an empty text. What somebody
 * put into a clone is for those who name its snapshot.
 *
 * @param published newest data first
 * @param options.masked data that was not masked is nobody's to have
 * @throws LabError SNAPSHOT_NOT_FOUND, SNAPSHOT_UNMASKED
 */
export function chooseSnapshot(
  published: readonly SnapshotRecord[],
  wanted: string,
  { masked }: { masked: boolean },
): SnapshotRecord {
  const time = wanted === '' ? undefined : parseTime(wanted)
  const named = published.find((snapshot) => snapshot.id === wanted)
  // Nobody who asks for a date is to get what somebody called so.
  if (named && (time === undefined || named.cloneId === '')) {
    if (masked && isUnmasked(named)) throw unmasked()
    return named
  }
  if (wanted !== '' && time === undefined) throw snapshotNotFound()
  const all = published.filter((snapshot) => snapshot.cloneId === '')
  const own = masked ? all.filter((snapshot) => !isUnmasked(snapshot)) : all
  const found = time === undefined ? own[0] : own.find((snapshot) => snapshot.timestamp <= time)
  if (found) return found
  if (own.length < all.length) throw unmasked()
  throw new LabError('SNAPSHOT_NOT_FOUND', whyNone(own, published))
}

/** What a clone that names no snapshot is made of; undefined where there is nothing that it may have. */
export function newestSnapshot(
  published: readonly SnapshotRecord[],
  { masked }: { masked: boolean },
): SnapshotRecord | undefined {
  return published.find((snapshot) => snapshot.cloneId === '' && !(masked && isUnmasked(snapshot)))
}

/** Made up data needs no mask. */
export function isUnmasked({ maskVersion, sample }: SnapshotRecord): boolean {
  return maskVersion === '' && !sample
}

function unmasked(): LabError {
  return new LabError('SNAPSHOT_UNMASKED', 'its data was brought in before masking was configured, and was not masked')
}

function whyNone(own: readonly SnapshotRecord[], published: readonly SnapshotRecord[]): string {
  const oldest = own.at(-1)
  if (oldest) return `the oldest snapshot's data is of ${oldest.timestamp}, later than the time asked for`
  if (published.length === 0) return 'the lab has no snapshot yet'
  return `there are snapshots of clones alone, which must be named: ${published.map(({ id }) => id).join(', ')}`
}

export function snapshotNotFound(): LabError {
  return new LabError('SNAPSHOT_NOT_FOUND', 'there is no snapshot with this id')
}
