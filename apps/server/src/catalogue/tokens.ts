import type { DatabaseSync, StatementSync } from 'node:sqlite'
import type { Role } from '@dblab/models'

export interface TokenRecord {
  id: string
  name: string
  role: Role
  /** SHA-256 of the secret, in hexadecimal digits. */
  hash: string
  /** Times: ISO 8601 in UTC. */
  createdAt: string
  /** Null for never. */
  expiresAt: string | null
  revokedAt: string | null
  lastUsedAt: string | null
}

/** The tokens that were made: all but the first, which lies outside of the catalogue. */
export class TokenStore {
  readonly #insert: StatementSync
  readonly #get: StatementSync
  readonly #getByHash: StatementSync
  readonly #list: StatementSync
  readonly #revoke: StatementSync
  readonly #noteUse: StatementSync
  readonly #forget: StatementSync

  constructor(db: DatabaseSync) {
    this.#insert = db.prepare(`
      INSERT INTO tokens (id, name, role, hash, created_at, expires_at, revoked_at, last_used_at)
      VALUES (:id, :name, :role, :hash, :createdAt, :expiresAt, :revokedAt, :lastUsedAt)`)
    this.#get = db.prepare('SELECT * FROM tokens WHERE id = ?')
    this.#getByHash = db.prepare('SELECT * FROM tokens WHERE hash = ?')
    this.#list = db.prepare('SELECT * FROM tokens ORDER BY created_at, id')
    this.#revoke = db.prepare('UPDATE tokens SET revoked_at = ? WHERE id = ? AND revoked_at IS NULL')
    this.#noteUse = db.prepare('UPDATE tokens SET last_used_at = ? WHERE id = ?')
    this.#forget = db.prepare('DELETE FROM tokens WHERE revoked_at <= :time OR expires_at <= :time')
  }

  add(token: TokenRecord): void {
    this.#insert.run({ ...token })
  }

  get(id: string): TokenRecord | undefined {
    const row = this.#get.get(id)
    return row && toRecord(row)
  }

  /** By the index: one look-up however many there are. */
  getByHash(hash: string): TokenRecord | undefined {
    const row = this.#getByHash.get(hash)
    return row && toRecord(row)
  }

  /** Oldest first; those that have ended too, until they are forgotten. */
  list(): TokenRecord[] {
    return this.#list.all().map(toRecord)
  }

  /** One that was revoked before keeps its time. */
  revoke(id: string, time: string): void {
    this.#revoke.run(time, id)
  }

  noteUse(id: string, time: string): void {
    this.#noteUse.run(time, id)
  }

  /** Those that ended before a time. What they made stays. */
  forgetEndedBefore(time: string): void {
    this.#forget.run({ time })
  }
}

function toRecord(row: Record<string, unknown>): TokenRecord {
  const text = (value: unknown) => (value === null ? null : String(value))
  return {
    id: String(row.id),
    name: String(row.name),
    role: row.role as Role,
    hash: String(row.hash),
    createdAt: String(row.created_at),
    expiresAt: text(row.expires_at),
    revokedAt: text(row.revoked_at),
    lastUsedAt: text(row.last_used_at),
  }
}
