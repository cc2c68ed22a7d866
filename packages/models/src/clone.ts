/**
 * What a clone's Postgres is tuned for. `dev`: as safe as Postgres is, with little memory. `test`: to be thrown away; a crash of the machine
 * loses it, and nothing is vacuumed or analyzed by itself. `like-source`: as `dev`, with the source's settings of all that decides plans, so that a query
 * gets the plan that it has there.
 */
export type CloneProfile = 'dev' | 'test' | 'like-source'

/**
 * `queue`: waiting for its turn. `volume`: the snapshot's data under a new name. `postgres`: its start. `user`: the role. `login`: that it works.
 * `handover`: all but the volume and the start, of an instance that stood ready.
 */
export type CloneStepName = 'queue' | 'volume' | 'postgres' | 'user' | 'login' | 'handover'

/** One step of a creation or a reset, and what it took. */
export interface CloneStepTime {
  name: CloneStepName
  seconds: number
}

export type CloneStatusCode = 'OK' | 'CREATING' | 'RESETTING' | 'DELETING' | 'FATAL'

export interface CloneStatus {
  /**
   * OK: ready to accept Postgres connections. CREATING, RESETTING, DELETING: work is under way. FATAL: broken; the message says why and
   * what to do.
   */
  code: CloneStatusCode
  message: string
}

/** Where a clone's Postgres listens, and who may log in. */
export interface CloneDatabase {
  username: string
  /** Always empty: a password is taken at creation and never answered. */
  password: string
  host: string
  port: string
  /** The database that `connStr` names. */
  dbName: string
  /** A `postgresql://` URI without a password. */
  connStr: string
}

/** A full-size, writable, isolated Postgres of its own. */
export interface Clone {
  id: string
  status: CloneStatus
  project: string
  /** Id of the snapshot that it was made from, or last reset to. */
  snapshot: string
  db: CloneDatabase
  /** A protected clone refuses delete and reset, and is not deleted by time. */
  protected: boolean
  /** When it deletes itself, ISO 8601 in UTC; empty for never. */
  deleteAt: string
  name: string
  /** Whose clone it is: a label for people and filters, not a database role. */
  username: string
  /** ISO 8601 in UTC. */
  createdAt: string
  /** Bytes that this clone alone holds, refreshed in the background. Where the driver can't tell shared bytes from own ones: its whole size. */
  cloneSize: number
  /** Seconds from the request to ready; 0 while it is being made. */
  cloningTime: number
  profile: CloneProfile
  /** Where the time of its creation went, or of its last reset, in the order in which they were done; empty until then. */
  steps: CloneStepTime[]
  /**
   * When its last reset failed and left it with the data from before, ISO 8601 in UTC; empty when it did not. The status' message says
   * why.
   */
  resetFailedAt: string
  /** Its place among the operations that wait, from 1 on; 0 when it does not wait. */
  queuePosition?: number
  /** Bytes that it may hold of its own; left out where nothing bounds them, or it is not known yet. */
  diskQuota?: number
}

/** The Postgres login that a new clone gets. */
export interface CreateCloneDatabase {
  /**
   * A plain role of this name is made in the clone, or given the password where the data has it already.
   *
   * @minLength 1
   * @maxLength 63
   * @pattern ^[^\x00-\x1f\x7f]*$ must not hold control characters
   */
  username: string
  /**
   * Turned into a SCRAM verifier at once; never stored, logged or answered.
   *
   * @minLength 1
   * @maxLength 1000
   * @pattern ^[^\x00]*$ must not hold a zero byte
   */
  password: string
  /**
   * The database that `connStr` names; left out: the snapshot's main one.
   *
   * @minLength 1
   * @maxLength 63
   */
  dbName?: string
}

/**
 * What a clone is to be.
 *
 * @example { "db": { "username": "alice", "password": "change-me" } }
 */
export interface CreateCloneRequest {
  /**
   * An id of the caller's choice; left out: a random one. Lower case letters, digits and dashes.
   *
   * @pattern ^[a-z0-9][a-z0-9-]{0,61}[a-z0-9]$ must be 2 to 63 lower case letters, digits and dashes, without a dash at either end
   */
  id?: string
  /**
   * @maxLength 200
   * @pattern ^[^\x00-\x1f\x7f]*$ must not hold control characters
   */
  project?: string
  /**
   * A snapshot's id, or a timestamp (ISO 8601): the newest snapshot whose data is not newer. Empty or left out: the newest.
   *
   * @maxLength 200
   */
  snapshot?: string
  db: CreateCloneDatabase
  /**
   * @maxLength 200
   * @pattern ^[^\x00-\x1f\x7f]*$ must not hold control characters
   */
  username?: string
  /**
   * @maxLength 200
   * @pattern ^[^\x00-\x1f\x7f]*$ must not hold control characters
   */
  name?: string
  protected?: boolean
  /** Left out: the lab's default, or `dev` where that is `like-source` and the snapshot lacks the settings of its source. */
  profile?: CloneProfile
  /**
   * When it deletes itself: ISO 8601, in the future. Empty or left out: never.
   *
   * @maxLength 40
   */
  deleteAt?: string
}

/**
 * What can be changed; what is left out stays.
 *
 * @example { "name": "a better name", "protected": false }
 */
export interface UpdateCloneRequest {
  /**
   * @maxLength 200
   * @pattern ^[^\x00-\x1f\x7f]*$ must not hold control characters
   */
  name?: string
  /**
   * @maxLength 200
   * @pattern ^[^\x00-\x1f\x7f]*$ must not hold control characters
   */
  project?: string
  /**
   * @maxLength 200
   * @pattern ^[^\x00-\x1f\x7f]*$ must not hold control characters
   */
  username?: string
  protected?: boolean
  /**
   * ISO 8601, in the future; null or empty clears it.
   *
   * @maxLength 40
   */
  deleteAt?: string | null
}

/**
 * What to reset to.
 *
 * @example {}
 */
export interface ResetCloneRequest {
  /**
   * A snapshot's id, or a timestamp; left out: the snapshot that the clone has.
   *
   * @maxLength 200
   */
  snapshot?: string
}
