/** A read-only state of the data that clones are made from. Was shut down cleanly, so a clone starts without recovery. */
export interface Snapshot {
  id: string
  /** When its data was true at the source (not when it was taken), ISO 8601 in UTC. */
  timestamp: string
  /** When it was taken, ISO 8601 in UTC. */
  createdAt: string
  /** The main database: the one that a clone's `connStr` names unless asked otherwise. */
  database: string
  /** All databases that a clone can be asked for by `db.dbName`. */
  databases: string[]
  /** Major version of the Postgres that wrote it. */
  postgresVersion: number
  /** Bytes that its files show. */
  size: number
  /** Clones that stand on it. */
  numClones: number
  /** The clone that it was taken of; empty for one of the lab's own base. */
  cloneId: string
  message: string
  /** A protected snapshot refuses deletion, and retention leaves it alone. */
  protected: boolean
  /** Says by which masking rules its data was masked, for comparing; empty for data that was not. */
  maskVersion: string
  /** Whether the settings of its source that decide plans are known, so that a clone of it can have the profile `like-source`. */
  hasPlanSettings: boolean
}

/**
 * What can be changed; what is left out stays.
 *
 * @example { "protected": true }
 */
export interface UpdateSnapshotRequest {
  protected?: boolean
  /**
   * @maxLength 500
   * @pattern ^[^\x00-\x1f\x7f]*$ must not hold control characters
   */
  message?: string
}

/**
 * What to take a snapshot of.
 *
 * @example { "message": "before the migration" }
 */
export interface CreateSnapshotRequest {
  /**
   * Take it of this running clone, after a CHECKPOINT; left out: of the lab's own base.
   *
   * @minLength 1
   * @maxLength 63
   */
  cloneId?: string
  /**
   * An id of the caller's choice; left out: one made of the time.
   *
   * @pattern ^[a-z0-9][a-z0-9-]{0,61}[a-z0-9]$ must be 2 to 63 lower case letters, digits and dashes, without a dash at either end
   */
  id?: string
  /**
   * @maxLength 500
   * @pattern ^[^\x00-\x1f\x7f]*$ must not hold control characters
   */
  message?: string
}
