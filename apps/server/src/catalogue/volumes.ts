import type { DatabaseSync, StatementSync } from 'node:sqlite'

/** `standby`: follows a source, and snapshots for bases are taken of it. `warm`: will be a clone that nobody has asked for yet. */
export type VolumeRole = 'base' | 'clone' | 'scratch' | 'standby' | 'warm'
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
  /** The settings of its source that decide plans are kept with it; left out for none. */
  hasPlanSettings?: boolean | undefined
}

/** What a standby follows: what is to be known of it to start it again. */
export interface StandbyData {
  /** Where its source is, as the configuration names it. */
  source: string
  /** The source's bootstrap superuser, as which the lab looks at it. */
  superuser: string
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
  /** Of a standby that follows. */
  standby: StandbyData | null
}

/** The volumes that the lab asked the storage for. */
export class VolumeStore {
  readonly #insert: StatementSync
  readonly #setState: StatementSync
  readonly #setRole: StatementSync
  readonly #setData: StatementSync
  readonly #delete: StatementSync
  readonly #list: StatementSync
  readonly #base: StatementSync
  readonly #removable: StatementSync
  readonly #unused: StatementSync

  constructor(db: DatabaseSync) {
    this.#insert = db.prepare('INSERT INTO volumes (id, role, state, created_at, origin) VALUES (?, ?, ?, ?, ?)')
    this.#setState = db.prepare('UPDATE volumes SET state = ? WHERE id = ?')
    this.#setRole = db.prepare('UPDATE volumes SET role = ? WHERE id = ?')
    this.#setData = db.prepare("UPDATE volumes SET state = 'live', data = ? WHERE id = ?")
    this.#delete = db.prepare('DELETE FROM volumes WHERE id = ?')
    const select = (where: string, order = 'created_at, id') =>
      db.prepare(`SELECT id, role, state, created_at, origin, data FROM volumes WHERE ${where} ORDER BY ${order}`)
    const hasSnapshot = 'EXISTS (SELECT 1 FROM snapshots WHERE snapshots.volume_id = volumes.id)'
    this.#list = select('true')
    this.#base = select("role = 'base' AND state = 'live'", 'created_at DESC, id DESC LIMIT 1')
    this.#removable = select(`state = 'retired' AND NOT ${hasSnapshot}`)
    this.#unused = select(`state = 'live' AND role IN ('base', 'scratch') AND NOT ${hasSnapshot}`)
  }

  /** Before the storage is asked, so that no crash leaves a volume that nobody knows. */
  add(id: string, role: VolumeRole, origin: string | null = null): void {
    this.#insert.run(id, role, 'pending', new Date().toISOString(), origin)
  }

  /** As it was, in a catalogue that is made anew. */
  restore({ id, role, state, createdAt, origin, data, standby }: VolumeRecord): void {
    this.#insert.run(id, role, state, createdAt, origin)
    const known = data ?? standby
    if (known) this.#setData.run(JSON.stringify(known), id)
    // Data makes it live.
    this.#setState.run(state, id)
  }

  setState(id: string, state: VolumeState): void {
    this.#setState.run(state, id)
  }

  /** A warm one becomes a clone's. */
  setRole(id: string, role: VolumeRole): void {
    this.#setRole.run(role, id)
  }

  /** A base that is filled, and shut down cleanly. */
  setFilled(id: string, data: BaseData): void {
    this.#setData.run(JSON.stringify(data), id)
  }

  /** A standby that follows its source. */
  setFollowing(id: string, standby: StandbyData): void {
    this.#setData.run(JSON.stringify(standby), id)
  }

  delete(id: string): void {
    this.#delete.run(id)
  }

  list(): VolumeRecord[] {
    return this.#list.all().map(toRecord)
  }

  /** The volume that snapshots of the lab's own data are taken of: the newest base. */
  base(): VolumeRecord | undefined {
    const row = this.#base.get()
    return row && toRecord(row)
  }

  /** Retired ones that no snapshot stands on. */
  removable(): VolumeRecord[] {
    return this.#removable.all().map(toRecord)
  }

  /** What lives for the sake of snapshots alone, and has none. */
  unused(): VolumeRecord[] {
    return this.#unused.all().map(toRecord)
  }

  /** The one that follows a source. */
  standby(): VolumeRecord | undefined {
    return this.list().findLast((volume) => volume.role === 'standby' && volume.state === 'live')
  }
}

function toRecord(row: Record<string, unknown>): VolumeRecord {
  const role = row.role as VolumeRole
  const data: unknown = row.data === null ? null : JSON.parse(String(row.data))
  return {
    id: String(row.id),
    role,
    state: row.state as VolumeState,
    createdAt: String(row.created_at),
    origin: row.origin === null ? null : String(row.origin),
    data: role === 'standby' ? null : (data as BaseData | null),
    standby: role === 'standby' ? (data as StandbyData | null) : null,
  }
}
