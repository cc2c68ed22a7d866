import type { DatabaseSync, StatementSync } from 'node:sqlite'

/** `standby`: follows a source, and snapshots for bases are taken of it. */
export type VolumeRole = 'base' | 'clone' | 'scratch' | 'standby'
export type VolumeState = 'pending' | 'live' | 'retired'

/** What is in a base: what every snapshot of it says of its data. */
export interface BaseData {
  database: string
  databases: string[]
  postgresVersion: number
  /** When it was true at the source, ISO 8601 in UTC. */
  timestamp: string
  sample: boolean
  /** Which rules it was masked by; left out, or empty, for none. */
  maskVersion?: string | undefined
  /** Its bootstrap superuser, where it is not the lab's own role. */
  superuser?: string | undefined
}

export interface VolumeRecord {
  id: string
  role: VolumeRole
  state: VolumeState
  createdAt: string
  /** The snapshot that it was cloned from. */
  origin: string | null
  /** Of a base that is whole. */
  data: BaseData | null
}

/** The volumes that the lab asked the storage for. */
export class VolumeStore {
  readonly #insert: StatementSync
  readonly #setState: StatementSync
  readonly #setData: StatementSync
  readonly #delete: StatementSync
  readonly #list: StatementSync

  constructor(db: DatabaseSync) {
    this.#insert = db.prepare('INSERT INTO volumes (id, role, state, created_at, origin) VALUES (?, ?, ?, ?, ?)')
    this.#setState = db.prepare('UPDATE volumes SET state = ? WHERE id = ?')
    this.#setData = db.prepare("UPDATE volumes SET state = 'live', data = ? WHERE id = ?")
    this.#delete = db.prepare('DELETE FROM volumes WHERE id = ?')
    this.#list = db.prepare('SELECT id, role, state, created_at, origin, data FROM volumes ORDER BY created_at, id')
  }

  /** Before the storage is asked, so that no crash leaves a volume that nobody knows. */
  add(id: string, role: VolumeRole, origin: string | null = null): void {
    this.#insert.run(id, role, 'pending', new Date().toISOString(), origin)
  }

  /** As it was, in a catalogue that is made anew. */
  restore({ id, role, state, createdAt, origin, data }: VolumeRecord): void {
    this.#insert.run(id, role, state, createdAt, origin)
    if (data) this.#setData.run(JSON.stringify(data), id)
    // Data makes it live.
    this.#setState.run(state, id)
  }

  setState(id: string, state: VolumeState): void {
    this.#setState.run(state, id)
  }

  /** A base that is filled, and shut down cleanly. */
  setFilled(id: string, data: BaseData): void {
    this.#setData.run(JSON.stringify(data), id)
  }

  delete(id: string): void {
    this.#delete.run(id)
  }

  list(): VolumeRecord[] {
    return this.#list.all().map((row) => ({
      id: String(row.id),
      role: row.role as VolumeRole,
      state: row.state as VolumeState,
      createdAt: String(row.created_at),
      origin: row.origin === null ? null : String(row.origin),
      data: row.data === null ? null : (JSON.parse(String(row.data)) as BaseData),
    }))
  }

  /** The volume that snapshots of the lab's own data are taken of: the newest base. */
  base(): VolumeRecord | undefined {
    return this.list().findLast((volume) => volume.role === 'base' && volume.state === 'live')
  }
}
