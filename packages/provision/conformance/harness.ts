import type { StorageDriver, VolumeId } from '../src/storage/driver.ts'
import type { StorageConfig } from '../src/storage/open.ts'

/** Something in the pool that is nobody's of this lab. */
export interface ForeignThing {
  /** Rejects when anything about it has changed. */
  expectIntact(): Promise<void>
}

/** A tree of others that a volume can begin with, with one file in it. */
export interface ForeignSource extends ForeignThing {
  name: string
  /** The dataset or the directory that it is found by. */
  above: string
}

/** A world of its own for one test: an empty pool, opened. */
export interface StorageHarness extends AsyncDisposable {
  driver: StorageDriver
  /** Opens the same pool in another object, in another process or, with another lab's id, as somebody else. */
  config: StorageConfig & { driver: Exclude<StorageConfig['driver'], 'auto'> }
  /** What the driver has somebody else make (a program, the kernel) is made, and then fails, until disposed of. Left out where it makes all itself. */
  failMaking?: () => Promise<AsyncDisposable>
  /** Takes from the driver what it reads its lists from, until disposed of. */
  failLists(): Promise<AsyncDisposable>
  /** Puts something unlabelled where the volume of this id would be. */
  plantVolume(id: VolumeId): Promise<ForeignThing>
  /** The same for a snapshot of a volume that may be this lab's. */
  plantSnapshot(ref: { volumeId: VolumeId; snapshotId: string }): Promise<ForeignThing>
  /** Puts a tree where the driver could take it from: with `file`, in which is `theirs`. */
  plantTree(): Promise<ForeignSource>
  /** Names of what lies in the pool, listed by the driver or not: volumes, snapshots, and what is half made. */
  content(): Promise<string[]>
}

export type OpenHarness = () => Promise<StorageHarness>
