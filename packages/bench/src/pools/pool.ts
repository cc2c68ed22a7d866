import type { DriverName } from '@dblab/provision'

export type BenchDriver = Extract<DriverName, 'btrfs' | 'zfs'>

/**
 * The one call by which a bare side gets a writable volume of a snapshot.
 *
 * @param source of `Pool.sourceOf`
 * @param target a volume's name
 */
export type SnapshotCall = (source: string, target: string) => Promise<void>

/** The lab's copy-on-write storage, for whoever works on it without the lab. Volumes made here are no business of the lab. */
export interface Pool extends AsyncDisposable {
  readonly driver: BenchDriver
  /** What the lab's configuration has as `storage`. */
  readonly storage: Record<string, string>
  /** What `snapshot` runs, for tables. */
  readonly snapshotName: string
  /** Makes room for volumes, once the lab has made its pool. */
  open(): Promise<void>
  /** What `snapshot` takes as the source for one of the lab's snapshots. */
  sourceOf(snapshotId: string): Promise<string>
  readonly snapshot: SnapshotCall
  /** What `snapshot` takes as the source for a volume that nobody writes to any more. */
  sourceOfVolume(name: string): Promise<string>
  /** An empty volume. */
  create(name: string): Promise<void>
  /** The files of a volume. */
  pathOf(name: string): string
  /** The files of a snapshot of the lab, to be read. */
  filesOf(snapshotId: string): Promise<string>
  remove(name: string): Promise<void>
  /** Resolves once all that was written before is on the disk, and the room of all that was removed is free. */
  settle(): Promise<void>
  /** Bytes of data that the file tree alone holds; on zfs with their metadata, which `written` counts in. */
  ownBytes(path: string): Promise<number>
  /** What the whole pool holds; undefined on zfs, which counts what was destroyed until it is free, and tells no metadata apart. */
  used(): Promise<PoolBytes | undefined>
}

export interface PoolBytes {
  data: number
  /** Counted once however often they are kept. */
  metadata: number
}
