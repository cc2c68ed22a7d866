/**
 * Names a volume within one lab: `^[a-z0-9][a-z0-9-]{0,62}$`. Random, never derived from a clone, and reused by nothing.
 * Ids of that form can't be taken for an option or a path, and hold no separator that a file system's names need.
 */
export type VolumeId = string

/** A snapshot is known by the volume that it was taken of and its own name there (same form as a VolumeId). */
export interface SnapshotRef {
  volumeId: VolumeId
  snapshotId: string
}

/**
 * Keys `^[a-z][a-z0-9-]{0,30}$`, values of up to 1,024 printable characters, all together up to 8,000 bytes of JSON. They live in the
 * storage beside what they label.
 */
export type Labels = Readonly<Record<string, string>>

export interface Volume {
  id: VolumeId
  /** Absolute path of its file tree: mounted, and there. */
  path: string
  /** The snapshot whose blocks it shares; undefined for a volume that began empty. */
  origin: SnapshotRef | undefined
  labels: Labels
}

export interface Snapshot extends SnapshotRef {
  labels: Labels
}

/** A tree in the pool that the lab has not made, and that nobody changes as long as the lab reads it. */
export interface ForeignTree {
  /** As the storage calls it: `tank/prod@monday`, or the absolute path of a subvolume. */
  name: string
  createdAt: Date
}

export interface PoolUsage {
  sizeBytes: number
  /** What can still be written: the smaller of the pool's own and, for a sparse image, its host's. */
  freeBytes: number
  usedBytes: number
  /** Logical bytes by stored bytes; 1 is none. Undefined where the driver can't know. */
  compressionRatio: number | undefined
  /** `DEGRADED`: works, but needs a person. `FAULTED`: reads or writes fail. */
  health: 'OK' | 'DEGRADED' | 'FAULTED'
  /** In the storage's own words, where it has any. */
  healthDetail: string
}

export interface VolumeUsage {
  /**
   * Bytes that this volume alone holds, and no snapshot or clone with it: what destroying it would free. Writes of the last seconds may
   * not be counted yet. The logical size where `capabilities.ownBytes` is false.
   */
  ownBytes: number
  /** What bounds its own bytes, if something does. */
  quotaBytes?: number | undefined
}

export interface CloneVolumeOptions {
  /**
   * Bytes that the volume may hold beyond the snapshot, its own snapshots included; beyond them its writers get EDQUOT or ENOSPC, and nobody
   * else does. It can be destroyed all the same. Enforced to within what is written in some seconds.
   */
  quotaBytes?: number | undefined
}

/**
 * Copy-on-write storage of one pool, seen by one lab. Answers come from the storage: a driver remembers at most that a name is this lab's,
 * and the storage still refuses what is not there any more.
 *
 * A failed call throws a ProvisionError and leaves nothing behind. What is not this lab's (other datasets, snapshots, directories in
 * the same pool; another lab's) is neither listed, nor touched, nor an error. Calls on different ids may run at once; the caller
 * keeps one id to one call. An id or label of another form is INVALID. An IN_USE that names what stands in the way has the ids in its
 * `users`: a volume as `volumeId`, a snapshot as `volumeId@snapshotId`.
 */
export interface StorageDriver {
  readonly name: string
  readonly capabilities: {
    /** False: whatever writes to the volume must be stopped while a snapshot of it is taken. */
    atomicSnapshot: boolean
    /** False: `volumeUsage` can't tell shared blocks from own ones. */
    ownBytes: boolean
    /** False: a clone takes as much room as what it was cloned from. */
    sharesBlocks: boolean
    /** True: `clone` can bound what is written to a volume. Known once the pool is open. */
    quota: boolean
    /** False: `listForeign` and `cloneForeign` are UNAVAILABLE here, and a tree of others has to be copied. */
    foreignTrees: boolean
  }
  /** Throws UNAVAILABLE, saying what is missing and how to get it. Changes nothing. */
  check(): Promise<void>
  /** Makes the pool ready for calls, and removes what calls that a crash cut off left half made. Once, before any other call. */
  open(): Promise<void>
  usage(): Promise<PoolUsage>
  /** The same as `usage` says, and that alone, without a program: for each clone. */
  freeBytes(): Promise<number>
  /**
   * Resolves when what was destroyed before has given its room back, so that `usage` has it, as far as the storage tells: some of it frees blocks
   * behind the destruction, and is asked here not to take its time. For the background; it may take as long as it likes. ABORTED.
   */
  untilFreed(signal?: AbortSignal): Promise<void>
  /** An empty writable volume: where data is brought in. ALREADY_EXISTS for an id in use, which is never replaced. */
  createVolume(id: VolumeId, labels?: Labels): Promise<Volume>
  /**
   * A writable volume that shares the snapshot's blocks. Mounted when this resolves. NOT_FOUND, ALREADY_EXISTS; UNAVAILABLE for a quota where
   * `capabilities` has none.
   */
  clone(from: SnapshotRef, id: VolumeId, labels?: Labels, options?: CloneVolumeOptions): Promise<Volume>
  /**
   * The trees of others that a name stands for, the oldest first: a snapshot or a subvolume itself; else those of a dataset, or in a
   * directory. NOT_FOUND; INVALID for what is a lab's own, or lies in another pool.
   */
  listForeign(name: string): Promise<ForeignTree[]>
  /**
   * A writable volume that shares the blocks of one of them, which stays as it is: the storage may refuse to have it destroyed while the volume
   * stands. Of what is in the volume, only its top is given to the owner. NOT_FOUND, ALREADY_EXISTS, INVALID.
   */
  cloneForeign(name: string, id: VolumeId, labels?: Labels): Promise<Volume>
  listVolumes(): Promise<Volume[]>
  /** One of `listVolumes`, at a cost that doesn't grow with their number; undefined when there is none of this id. */
  findVolume(id: VolumeId): Promise<Volume | undefined>
  /**
   * Other labels for a volume or a snapshot, the old ones or the new ones, whole, whatever happens meanwhile; on disk when this resolves.
   * May run beside the destruction of the same. NOT_FOUND.
   */
  relabel(what: VolumeId | SnapshotRef, labels: Labels): Promise<void>
  /** NOT_FOUND, ABORTED. May cost time that grows with the volume: for the background. */
  volumeUsage(id: VolumeId, signal?: AbortSignal): Promise<VolumeUsage>
  /** Bytes that its files show. NOT_FOUND. Costs time that grows with their number. */
  logicalBytes(id: VolumeId): Promise<number>
  /** Gone when this resolves; absent already is fine. IN_USE, naming the snapshots, while any of it stand. */
  destroyVolume(id: VolumeId): Promise<void>
  /** Read-only, and on disk when this resolves. Atomic over the whole volume where `capabilities` say so. NOT_FOUND, ALREADY_EXISTS. */
  snapshot(of: VolumeId, snapshotId: string, labels?: Labels): Promise<Snapshot>
  listSnapshots(): Promise<Snapshot[]>
  /** Gone when this resolves; absent already is fine. IN_USE, naming the volumes, while clones of it stand. Never cascades. */
  destroySnapshot(ref: SnapshotRef): Promise<void>
}
