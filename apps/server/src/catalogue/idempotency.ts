import type { DatabaseSync, StatementSync } from 'node:sqlite'

/** How long a key protects against a second creation, in hours. */
const KEPT_HOURS = 24

/** Which clone an `Idempotency-Key` made, so that a retry finds it and makes no second one. */
export class IdempotencyStore {
  readonly #get: StatementSync
  readonly #insert: StatementSync
  readonly #expire: StatementSync

  constructor(db: DatabaseSync) {
    this.#get = db.prepare('SELECT request_hash, clone_id FROM idempotency_keys WHERE key = ? AND created_at > ?')
    this.#insert = db.prepare(
      'INSERT OR REPLACE INTO idempotency_keys (key, request_hash, clone_id, created_at) VALUES (?, ?, ?, ?)',
    )
    this.#expire = db.prepare('DELETE FROM idempotency_keys WHERE created_at <= ?')
  }

  get(key: string): { requestHash: string; cloneId: string } | undefined {
    const row = this.#get.get(key, oldest())
    return row && { requestHash: String(row.request_hash), cloneId: String(row.clone_id) }
  }

  add(key: string, requestHash: string, cloneId: string): void {
    this.#expire.run(oldest())
    this.#insert.run(key, requestHash, cloneId, new Date().toISOString())
  }
}

function oldest(): string {
  return new Date(Date.now() - KEPT_HOURS * 3_600_000).toISOString()
}
