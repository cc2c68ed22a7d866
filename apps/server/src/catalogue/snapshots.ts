import type { DatabaseSync, SQLInputValue, StatementSync } from 'node:sqlite'
import type { SnapshotRef } from '@dblab/provision'
import { compareTexts, RowMemory } from './row-memory.ts'

export type SnapshotState = 'pending' | 'live' | 'retired'

export interface SnapshotRecord {
  id: string
  volumeId: string
  state: SnapshotState
  /** False for the crash-consistent one in between, which no user sees. */
  published: boolean
  /** When its data was true at the source, ISO 8601 in UTC. */
  timestamp: string
  createdAt: string
  database: string
  databases: string[]
  postgresVersion: number
  size: number
  /** The clone that it was taken of, or empty. */
  cloneId: string
  /** Of the sample database, or of a clone of that. */
  sample: boolean
  message: string
  /** The token that took it of a clone; null for the first, and for the lab's own. */
  tokenId: string | null
  protected: boolean
  /** Which rules its data was masked by; empty for none. */
  maskVersion: string
  /** Of a cluster that came from elsewhere, its bootstrap superuser, which no clone's user is to be; empty for one that the lab made. */
  superuser: string
  /** The settings of its source that decide plans are in its volume. */
  hasPlanSettings: boolean
}

/** Where the storage has it. */
export function refOf(snapshot: SnapshotRecord): SnapshotRef {
  return { volumeId: snapshot.volumeId, snapshotId: snapshot.id }
}

/** The snapshots that the lab asked the storage for. */
export class SnapshotStore {
  readonly #insert: StatementSync
  readonly #publish: StatementSync
  readonly #setState: StatementSync
  readonly #update: StatementSync
  readonly #delete: StatementSync
  readonly #removable: StatementSync
  readonly #memory: RowMemory<SnapshotRecord>

  constructor(db: DatabaseSync) {
    this.#insert = db.prepare(`
      INSERT INTO snapshots (id, volume_id, state, published, timestamp, created_at, database, databases, postgres_version, size,
        clone_id, sample, message, token_id, protected, mask_version, superuser, has_plan_settings)
      VALUES (:id, :volumeId, :state, :published, :timestamp, :createdAt, :database, :databases, :postgresVersion, :size,
        :cloneId, :sample, :message, :tokenId, :protected, :maskVersion, :superuser, :hasPlanSettings)`)
    this.#publish = db.prepare(
      "UPDATE snapshots SET state = 'live', database = ?, databases = ?, size = ? WHERE id = ?",
    )
    this.#setState = db.prepare('UPDATE snapshots SET state = ? WHERE id = ?')
    this.#update = db.prepare('UPDATE snapshots SET protected = ?, message = ? WHERE id = ?')
    this.#delete = db.prepare('DELETE FROM snapshots WHERE id = ?')
    this.#removable = db.prepare(`
      SELECT * FROM snapshots
      WHERE state = 'retired' AND NOT EXISTS (SELECT 1 FROM volumes WHERE volumes.origin = snapshots.id)`)
    const one = db.prepare('SELECT * FROM snapshots WHERE id = ?')
    this.#memory = new RowMemory({
      db,
      readAll: () => db.prepare('SELECT * FROM snapshots').all().map(toRecord),
      read: (id) => {
        const row = one.get(id)
        return row && toRecord(row)
      },
      compare: newestDataFirst,
    })
  }

  /** To be called of every row that is written. */
  noteWritten(id: string): void {
    this.#memory.noteWritten(id)
  }

  /** Before the storage is asked, in state `pending`. */
  add(snapshot: Omit<SnapshotRecord, 'state'>): void {
    this.#insert.run({
      ...snapshot,
      state: 'pending',
      published: snapshot.published ? 1 : 0,
      sample: snapshot.sample ? 1 : 0,
      protected: snapshot.protected ? 1 : 0,
      hasPlanSettings: snapshot.hasPlanSettings ? 1 : 0,
      databases: JSON.stringify(snapshot.databases),
    } satisfies Record<string, SQLInputValue>)
  }

  /** As it was, in a catalogue that is made anew. */
  restore({ state, ...snapshot }: SnapshotRecord): void {
    this.add(snapshot)
    this.setState(snapshot.id, state)
  }

  /** It is in the storage, whole and on disk. */
  setLive(id: string, facts: { database: string; databases: string[]; size: number }): void {
    this.#publish.run(facts.database, JSON.stringify(facts.databases), facts.size, id)
  }

  setState(id: string, state: SnapshotState): void {
    this.#setState.run(state, id)
  }

  /** What people may change of it. */
  update(id: string, { protected: isProtected, message }: Pick<SnapshotRecord, 'protected' | 'message'>): void {
    this.#update.run(isProtected ? 1 : 0, message, id)
  }

  delete(id: string): void {
    this.#delete.run(id)
  }

  /** From memory, as the lists are. */
  get(id: string): Readonly<SnapshotRecord> | undefined {
    return this.#memory.get(id)
  }

  /** All, in every state, newest data first, the sample's last; at the same time the lab's own before those taken of clones, then the last taken. */
  list(): Readonly<SnapshotRecord>[] {
    return this.#memory.list()
  }

  /** Retired ones that no volume was cloned from. */
  removable(): SnapshotRecord[] {
    return this.#removable.all().map(toRecord)
  }

  /** Those that users see and clone, in the same order: the first is what a clone gets that names none. */
  listPublished(): Readonly<SnapshotRecord>[] {
    return this.list().filter((snapshot) => snapshot.published && snapshot.state === 'live')
  }
}

function newestDataFirst(a: SnapshotRecord, b: SnapshotRecord): number {
  return (
    Number(a.sample) - Number(b.sample) ||
    compareTexts(b.timestamp, a.timestamp) ||
    compareTexts(a.cloneId, b.cloneId) ||
    compareTexts(b.createdAt, a.createdAt) ||
    compareTexts(a.id, b.id)
  )
}

function toRecord(row: Record<string, unknown>): SnapshotRecord {
  return {
    id: String(row.id),
    volumeId: String(row.volume_id),
    state: row.state as SnapshotState,
    published: row.published === 1,
    timestamp: String(row.timestamp),
    createdAt: String(row.created_at),
    database: String(row.database),
    databases: JSON.parse(String(row.databases)) as string[],
    postgresVersion: Number(row.postgres_version),
    size: Number(row.size),
    cloneId: String(row.clone_id),
    sample: row.sample === 1,
    message: String(row.message),
    tokenId: row.token_id === null ? null : String(row.token_id),
    protected: row.protected === 1,
    maskVersion: String(row.mask_version),
    superuser: String(row.superuser),
    hasPlanSettings: row.has_plan_settings === 1,
  }
}
