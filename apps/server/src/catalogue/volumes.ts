import type { DatabaseSync, StatementSync } from 'node:sqlite'

export type VolumeRole = 'base' | 'clone' | 'scratch'
export type VolumeState = 'pending' | 'live' | 'retired'

export interface VolumeRecord {
  id: string
  role: VolumeRole
  state: VolumeState
  createdAt: string
  /** The snapshot that it was cloned from. */
  origin: string | null
}

/** The volumes that the lab asked the storage for. */
export class VolumeStore {
  readonly #insert: StatementSync
  readonly #setState: StatementSync
  readonly #delete: StatementSync
  readonly #list: StatementSync

  constructor(db: DatabaseSync) {
    this.#insert = db.prepare('INSERT INTO volumes (id, role, state, created_at, origin) VALUES (?, ?, ?, ?, ?)')
    this.#setState = db.prepare('UPDATE volumes SET state = ? WHERE id = ?')
    this.#delete = db.prepare('DELETE FROM volumes WHERE id = ?')
    this.#list = db.prepare('SELECT id, role, state, created_at, origin FROM volumes ORDER BY created_at, id')
  }

  /** Before the storage is asked, so that no crash leaves a volume that nobody knows. */
  add(id: string, role: VolumeRole, origin: string | null = null): void {
    this.#insert.run(id, role, 'pending', new Date().toISOString(), origin)
  }

  setState(id: string, state: VolumeState): void {
    this.#setState.run(state, id)
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
    }))
  }

  /** The volume that snapshots of the lab's own data are taken of: the newest base. */
  base(): VolumeRecord | undefined {
    return this.list().findLast((volume) => volume.role === 'base' && volume.state === 'live')
  }
}
