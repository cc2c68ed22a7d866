import type { Clone } from './clone.ts'
import type { Snapshot } from './snapshot.ts'

export type InstanceStatusCode = 'OK' | 'WARNING'

export interface InstanceStatus {
  /** OK: functions well. WARNING: still functional, but has some problem; the message says which. */
  code: InstanceStatusCode
  message: string
}

export type WarningCode =
  | 'DISK_SPACE_LOW'
  | 'DISK_SPACE_CRITICAL'
  | 'INSECURE_CONNECTION'
  | 'CATALOGUE_LOST'
  | 'POOL_DEGRADED'
  | 'NO_SNAPSHOT'
  | 'NO_FREE_PORT'
  | 'LIMIT_NOT_ENFORCED'
  | 'RECONCILE_FAILED'
  | 'AUDIT_LOG_FAILED'
  | 'DATA_OLD'
  | 'RETRIEVAL_FAILED'
  | 'UNMASKED_DATA'
  | 'STANDBY_NOT_FOLLOWING'
  | 'SOURCE_SETTINGS_UNKNOWN'

/** One reason for an instance's WARNING. */
export interface Warning {
  code: WarningCode
  message: string
  hint: string
}

export interface Disk {
  /** Bytes. */
  size: number
  /** Bytes that can still be written. */
  free: number
  /** Bytes. */
  used: number
  /**
   * Bytes that deleted clones held, as they were measured last, and that the storage may still have to give back: `free` has them when it has. 0
   * where the driver can't tell what a clone alone holds.
   */
  freeing: number
  /** When these were read, ISO 8601 in UTC. */
  updatedAt: string
}

/** A storage driver that was passed over, and why. */
export interface PassedOverDriver {
  driver: string
  reason: string
  hint: string
}

export interface Pool {
  /** zfs, btrfs, reflink or copy. */
  driver: string
  /** True for a pool that the lab made itself in an image file. */
  embedded: boolean
  /** Logical bytes by stored bytes, 1 for none; null where the driver can't know. */
  compressionRatio: number | null
  health: 'OK' | 'DEGRADED' | 'FAULTED'
  healthDetail: string
  /** False: `cloneSize` is a clone's whole size, since the driver can't tell shared bytes from own ones. */
  cloneSizeIsOwn: boolean
  /** The drivers that would come first, why they were not taken, and what would make them possible. */
  passedOver: PassedOverDriver[]
}

/** Instances that were started ahead, each for one clone to come. */
export interface WarmInstances {
  ready: number
  /** How many there are to be: it follows the demand. */
  target: number
}

/** Everything about the lab at a glance. */
export interface Instance {
  status: InstanceStatus
  /** Why the status is WARNING, one by one. */
  warnings: Warning[]
  disk: Disk
  pool: Pool
  /** Seconds: the median of the recent successful creations; 0 before the first. */
  expectedCloningTime: number
  numClones: number
  warm: WarmInstances
  clones: Clone[]
  snapshots: Snapshot[]
  /** Of the server. */
  version: string
  /** When the server came up, ISO 8601 in UTC. */
  startedAt: string
}

export interface Health {
  status: 'OK'
  version: string
}
