import type { StorageDriver } from './driver.ts'

export type DriverName = 'zfs' | 'btrfs' | 'reflink' | 'copy'

export interface StorageConfig {
  /** `auto` takes the first of zfs, btrfs, reflink, copy that works; once one has been taken in `root`, that one. */
  driver: DriverName | 'auto'
  /** The driver that the data is known to lie on: `auto` takes no other, whatever `root` says. */
  settled?: DriverName | undefined
  /** What is settled may be gone: a destruction of it was cut off. */
  mayBeGone?: boolean | undefined
  /** Goes into every label: what bears another lab's id is not ours. `^[a-z0-9-]{1,63}$` */
  labId: string
  /**
   * Absolute; for the drivers that keep volumes in a directory. Also where the embedded pool is mounted, where a ZFS dataset goes whose
   * parents have no mount point, and where `auto` notes what it took. Made when absent.
   */
  root: string
  /** How long a program that the driver runs may take; 2 minutes if left out. */
  commandTimeoutMs?: number | undefined
  /** Account that owns the root directory of an empty volume. */
  owner: { uid: number; gid: number }
  /** The ZFS dataset below which everything is kept, such as `tank/dblab`; made when its pool is there. Needed by `zfs`. */
  dataset?: string | undefined
  /**
   * Whether clones are to have quotas: what these need is switched on in a pool that is the lab's alone, or off. Left out, it stays as it is:
   * to switch it off takes the bounds of all clones for good.
   */
  quotas?: boolean
  /**
   * The embedded pool of `btrfs`: a sparse file with a btrfs in it, for when `root` lies on another file system. Needs root.
   * A pool that is smaller than `sizeBytes` is grown when it's opened; a larger one stays as it is.
   */
  image?: { path: string; sizeBytes: number } | undefined
}

/** What a driver's folder gives to `openStorage`: the driver, ready for calls, and the two ways to be done with it. */
export interface StoragePool {
  driver: StorageDriver
  /** True for the embedded pool. */
  embedded: boolean
  /** See `OpenedStorage.detach`. */
  detach(): Promise<void>
  /** Removes what opening made, once the lab's volumes and snapshots are gone. What others keep there stays. */
  remove(): Promise<void>
}
