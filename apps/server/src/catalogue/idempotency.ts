import type { DatabaseSync, StatementSync } from 'node:sqlite'

/** How long a key protects against a second creation, in hours. */
const KEPT_HOURS = 24

/** An `Idempotency-Key`, and the token that it came with: nobody finds another's clone by a key that both use. */
export interface TokenKey {
  /** Null for the first token. */
  tokenId: string | null
  key: string
}

/** Which clone an `Idempotency-Key` made, so that a retry finds it and makes no second one. */
export class IdempotencyStore {
  readonly #get: StatementSync
  readonly #insert: StatementSync
  readonly #expire: StatementSync

  constructor(db: DatabaseSync) {
    this.#get = db.prepare(
      'SELECT request_hash, clone_id FROM idempotency_keys WHERE token_id = ? AND key = ? AND created_at > ?',
    )
    this.#insert = db.prepare(
      'INSERT OR REPLACE INTO idempotency_keys (token_id, key, request_hash, clone_id, created_at) VALUES (?, ?, ?, ?, ?)',
    )
    this.#expire = db.prepare('DELETE FROM idempotency_keys WHERE created_at <= ?')
  }

  get({ tokenId, key }: TokenKey): { requestHash: string; cloneId: string } | undefined {
    const row = this.#get.get(tokenId ?? '', key, oldest())
    return row && { requestHash: String(row.request_hash), cloneId: String(row.clone_id) }
  }

  add({ tokenId, key }: TokenKey, requestHash: string, cloneId: string): void {
    this.#expire.run(oldest())
    this.#insert.run(tokenId ?? '', key, requestHash, cloneId, new Date().toISOString())
  }
}

function oldest(): string {
  return new Date(Date.now() - KEPT_HOURS * 3_600_000).toISOString()
}
