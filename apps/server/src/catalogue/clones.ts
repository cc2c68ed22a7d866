import type { DatabaseSync, SQLInputValue, StatementSync } from 'node:sqlite'
import type { CloneProfile, CloneStatusCode, CloneStepTime } from '@dblab/models'
import { compareTexts, RowMemory } from './row-memory.ts'

export interface CloneRecord {
  id: string
  status: CloneStatusCode
  message: string
  project: string
  name: string
  username: string
  protected: boolean
  /** ISO 8601 in UTC, or null for never. */
  deleteAt: string | null
  createdAt: string
  snapshotId: string
  /** The snapshot that a reset under way goes to. */
  resetTo: string | null
  /** Null before its first volume is there. */
  volumeId: string | null
  port: number
  dbUsername: string
  dbName: string
  /** SCRAM, so that a reset keeps the login. */
  verifier: string
  size: number
  cloningSeconds: number
  lastUsedAt: string
  /** The host's boot id where its Postgres last started with `fsync=off`: after another boot its data can't be trusted. */
  unsafeBootId: string | null
  /** When its last reset failed and left it with the data from before. */
  resetFailedAt: string | null
  /** The token that it was made with; null for the first. */
  tokenId: string | null
  profile: CloneProfile
  /** Of its creation or its last reset. */
  steps: CloneStepTime[]
}

const columns = {
  id: 'id',
  status: 'status',
  message: 'message',
  project: 'project',
  name: 'name',
  username: 'username',
  protected: 'protected',
  deleteAt: 'delete_at',
  createdAt: 'created_at',
  snapshotId: 'snapshot_id',
  resetTo: 'reset_to',
  volumeId: 'volume_id',
  port: 'port',
  dbUsername: 'db_username',
  dbName: 'db_name',
  verifier: 'verifier',
  size: 'size',
  cloningSeconds: 'cloning_seconds',
  lastUsedAt: 'last_used_at',
  unsafeBootId: 'unsafe_boot_id',
  resetFailedAt: 'reset_failed_at',
  tokenId: 'token_id',
  profile: 'profile',
  steps: 'steps',
} as const satisfies Record<keyof CloneRecord, string>

/** How many creations the expected time is the median of. */
const RECENT_CREATIONS = 50

/** The clones. They are looked at far more often than they change, so each row is read once after it was written. */
export class CloneStore {
  readonly #db: DatabaseSync
  readonly #insert: StatementSync
  readonly #delete: StatementSync
  readonly #leaving: StatementSync
  readonly #memory: RowMemory<CloneRecord>

  constructor(db: DatabaseSync) {
    this.#db = db
    const names = Object.values(columns)
    this.#insert = db.prepare(
      `INSERT INTO clones (${names.join(', ')}) VALUES (${Object.keys(columns)
        .map((key) => `:${key}`)
        .join(', ')})`,
    )
    this.#delete = db.prepare('DELETE FROM clones WHERE id = ?')
    this.#leaving = db.prepare(`
      SELECT count(*) AS count, total(size) AS bytes FROM clones
      WHERE status = 'DELETING' AND volume_id IS NOT NULL
        AND NOT EXISTS (SELECT 1 FROM snapshots WHERE snapshots.volume_id = clones.volume_id)`)
    const one = db.prepare('SELECT * FROM clones WHERE id = ?')
    this.#memory = new RowMemory({
      db,
      readAll: () => db.prepare('SELECT * FROM clones').all().map(toRecord),
      read: (id) => {
        const row = one.get(id)
        return row && toRecord(row)
      },
      compare: (a, b) => compareTexts(a.createdAt, b.createdAt) || compareTexts(a.id, b.id),
    })
  }

  /** To be called of every row that is written. */
  noteWritten(id: string): void {
    this.#memory.noteWritten(id)
  }

  add(clone: CloneRecord): void {
    this.#insert.run(Object.fromEntries(Object.entries(clone).map(([key, value]) => [key, toSql(value)])))
  }

  /** From memory, as `list` is. The same object until its row is written. */
  get(id: string): Readonly<CloneRecord> | undefined {
    return this.#memory.get(id)
  }

  /** @throws Error when the clone is not there: whoever calls holds its lock and has just read it. */
  update(id: string, changes: Partial<Omit<CloneRecord, 'id'>>): CloneRecord {
    const entries = Object.entries(changes)
    if (entries.length > 0) {
      const set = entries.map(([key]) => `${columns[key as keyof CloneRecord]} = ?`).join(', ')
      this.#db.prepare(`UPDATE clones SET ${set} WHERE id = ?`).run(...entries.map(([, value]) => toSql(value)), id)
    }
    const record = this.get(id)
    if (!record) throw new Error(`clone ${id} is not in the catalogue`)
    return record
  }

  delete(id: string): void {
    this.#delete.run(id)
  }

  /** Oldest first. */
  list(): Readonly<CloneRecord>[] {
    return this.#memory.list()
  }

  /** Those that are being deleted and whose data goes with them, since no snapshot of it stands; and what they were measured to hold. */
  leaving(): { count: number; bytes: number } {
    const row = this.#leaving.get()
    return { count: Number(row?.count), bytes: Number(row?.bytes) }
  }

  /** A creation that ended well, for `medianCreationSeconds`. */
  recordCreation(seconds: number): void {
    this.#db
      .prepare('INSERT INTO creations (finished_at, seconds) VALUES (?, ?)')
      .run(new Date().toISOString(), seconds)
    this.#db
      .prepare('DELETE FROM creations WHERE rowid NOT IN (SELECT rowid FROM creations ORDER BY rowid DESC LIMIT ?)')
      .run(RECENT_CREATIONS)
  }

  /** Of the recent successful ones; 0 before the first. */
  medianCreationSeconds(): number {
    const seconds = this.#db
      .prepare('SELECT seconds FROM creations ORDER BY seconds')
      .all()
      .map((row) => Number(row.seconds))
    const middle = seconds.length / 2
    const upper = seconds[Math.floor(middle)] ?? 0
    const lower = seconds[Math.ceil(middle) - 1] ?? 0
    return (upper + lower) / 2
  }
}

function toSql(value: CloneRecord[keyof CloneRecord]): SQLInputValue {
  if (Array.isArray(value)) return JSON.stringify(value)
  return typeof value === 'boolean' ? Number(value) : value
}

function toRecord(row: Record<string, unknown>): CloneRecord {
  return {
    id: String(row.id),
    status: row.status as CloneStatusCode,
    message: String(row.message),
    project: String(row.project),
    name: String(row.name),
    username: String(row.username),
    protected: row.protected === 1,
    deleteAt: row.delete_at === null ? null : String(row.delete_at),
    createdAt: String(row.created_at),
    snapshotId: String(row.snapshot_id),
    resetTo: row.reset_to === null ? null : String(row.reset_to),
    volumeId: row.volume_id === null ? null : String(row.volume_id),
    port: Number(row.port),
    dbUsername: String(row.db_username),
    dbName: String(row.db_name),
    verifier: String(row.verifier),
    size: Number(row.size),
    cloningSeconds: Number(row.cloning_seconds),
    lastUsedAt: String(row.last_used_at),
    unsafeBootId: row.unsafe_boot_id === null ? null : String(row.unsafe_boot_id),
    resetFailedAt: row.reset_failed_at === null ? null : String(row.reset_failed_at),
    tokenId: row.token_id === null ? null : String(row.token_id),
    profile: row.profile as CloneProfile,
    steps: JSON.parse(String(row.steps)) as CloneStepTime[],
  }
}
