import type { DatabaseSync, SQLInputValue } from 'node:sqlite'
import type { AuditEntry } from '@dblab/models'
import { isSystemError } from '@dblab/provision'
import { LabError } from '../errors.ts'
import type { Logger } from '../log.ts'
import type { Act } from './act.ts'
import { IS_REFUSAL, openAuditDatabase } from './audit-database.ts'

/** Of all that is kept, requests that were refused for their token get this share: a flood of them must not push the rest out. */
const SHARE_OF_REFUSALS = 0.1

export interface AuditLogOptions {
  file: string
  /** How much is kept. */
  maxEntries: number
  maxDays: number
  log: Logger
}

export interface AuditOutcome {
  status: number
  errorCode?: string | undefined
  reason?: string | undefined
}

export interface OwnAct {
  operation: string
  clone?: string
  token?: string
  by?: 'lab' | 'command'
}

export interface AuditQuery {
  limit: number
  /** Entries older than this one. */
  before?: number | undefined
  clone?: string | undefined
  tokenName?: string | undefined
  operation?: string | undefined
}

/**
 * Who did what, when and from where. In a file of its own, so that nothing that happens to it happens to the catalogue. An entry that can't
 * be written goes to the server's log instead, and what it is about goes on: on a full disk, deletions are what makes room.
 */
export class AuditLog implements Disposable {
  readonly #options: AuditLogOptions
  #db: DatabaseSync | undefined
  #closed = false
  #problem: string | undefined

  constructor(options: AuditLogOptions) {
    this.#options = options
    this.#attempt('opened', {}, () => {})
  }

  /** Why the last entry could not be written; undefined while all is well. */
  get problem(): string | undefined {
    return this.#problem
  }

  /** Before it is done, so that nothing is done without it. Undefined when it could not be written. */
  begin(act: Act): number | undefined {
    return this.#insert(act, { status: 0 })
  }

  /** How it ended, and what has come to be known of it. */
  end(id: number, act: Act, { status, errorCode = '', reason = '' }: AuditOutcome): void {
    const { clone, snapshot, token } = act
    this.#attempt('ended', { ...act, status, errorCode }, (db) => {
      db.prepare(
        'UPDATE audit SET status = ?, error_code = ?, reason = ?, clone = ?, snapshot = ?, token = ? WHERE id = ?',
      ).run(status, errorCode, reason, clone, snapshot, token, id)
    })
  }

  /** Something that is over already. */
  add(act: Act, outcome: AuditOutcome): void {
    this.#insert(act, outcome)
  }

  /** Something that no request asked for: the lab itself did it, or a command on its machine. */
  addOwn({ operation, clone = '', token = '', by = 'lab' }: OwnAct, reason: string, errorCode = ''): void {
    const caller = { tokenId: null, name: by, role: 'admin' } as const
    const act = { caller, operation, clone, token, snapshot: '', address: '', requestId: '' }
    this.#insert(act, { status: 0, reason, errorCode })
  }

  /**
   * Newest first.
   *
   * @throws LabError STORAGE_UNAVAILABLE where it can't be read
   */
  list({ limit, before, clone, tokenName, operation }: AuditQuery): AuditEntry[] {
    const conditions: [condition: string, value: SQLInputValue | undefined][] = [
      ['id < ?', before],
      ["clone = ? AND clone <> ''", clone],
      ['token_name = ?', tokenName],
      ['operation = ?', operation],
    ]
    const given = conditions.flatMap(([text, value]) => (value === undefined ? [] : [{ text, value }]))
    const where = given.length > 0 ? `WHERE ${given.map(({ text }) => text).join(' AND ')}` : ''
    try {
      const statement = this.#open().prepare(`SELECT * FROM audit ${where} ORDER BY id DESC LIMIT ?`)
      return statement.all(...given.map(({ value }) => value), limit).map(toEntry)
    } catch (error) {
      if (!isSqliteError(error) && !isSystemError(error)) throw error
      const options = { cause: error, retryAfterSeconds: 30 }
      throw new LabError('STORAGE_UNAVAILABLE', 'the audit log does not answer', options)
    }
  }

  /** Lets go of what is too old or too much. For the background; tries again where the file could not be opened. */
  prune(): void {
    const { maxEntries, maxDays } = this.#options
    const oldest = new Date(Date.now() - maxDays * 24 * 3_600_000).toISOString()
    this.#attempt('pruned', {}, (db) => {
      // Only where there is something to let go of: it looks at all entries.
      const first = db.prepare('SELECT at FROM audit ORDER BY id LIMIT 1').get()
      if (first && String(first.at) < oldest)
        db.prepare('DELETE FROM audit WHERE id <= (SELECT max(id) FROM audit WHERE at < ?)').run(oldest)
      db.prepare('DELETE FROM audit WHERE id <= (SELECT id FROM audit ORDER BY id DESC LIMIT 1 OFFSET ?)').run(
        maxEntries,
      )
      db.prepare(
        `DELETE FROM audit WHERE ${IS_REFUSAL} AND id <=
          (SELECT id FROM audit WHERE ${IS_REFUSAL} ORDER BY id DESC LIMIT 1 OFFSET ?)`,
      ).run(Math.ceil(maxEntries * SHARE_OF_REFUSALS))
    })
  }

  [Symbol.dispose](): void {
    this.#closed = true
    this.#db?.close()
    this.#db = undefined
  }

  #insert(act: Act, { status, errorCode = '', reason = '' }: AuditOutcome): number | undefined {
    const { caller, operation, clone, snapshot, token, address, requestId } = act
    const values = [
      ...[new Date().toISOString(), caller?.tokenId ?? '', caller?.name ?? '', operation, clone, snapshot, token],
      ...[address, status, errorCode, reason, requestId],
    ]
    return this.#attempt('begun', { ...act, status, errorCode, reason }, (db) => {
      const statement = db.prepare(`
        INSERT INTO audit (at, token_id, token_name, operation, clone, snapshot, token, address, status, error_code, reason, request_id)
        VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`)
      return Number(statement.run(...values).lastInsertRowid)
    })
  }

  #open(): DatabaseSync {
    this.#db ??= openAuditDatabase(this.#options.file, this.#options.log)
    return this.#db
  }

  #attempt<T>(what: string, fields: object, work: (db: DatabaseSync) => T): T | undefined {
    // The answer to a request may end after the lab has: its beginning is written down.
    if (this.#closed) return undefined
    try {
      const result = work(this.#open())
      this.#problem = undefined
      return result
    } catch (error) {
      if (!isSqliteError(error) && !isSystemError(error)) throw error
      this.#problem = error.message
      const { caller, ...rest } = { caller: undefined, ...fields } as { caller?: Act['caller'] }
      this.#options.log.error('the audit log could not be written', { what, by: caller?.name, ...rest, error })
      return undefined
    }
  }
}

function isSqliteError(error: unknown): error is Error {
  return error instanceof Error && 'code' in error && error.code === 'ERR_SQLITE_ERROR'
}

function toEntry(row: Record<string, unknown>): AuditEntry {
  return {
    id: Number(row.id),
    at: String(row.at),
    tokenId: String(row.token_id),
    tokenName: String(row.token_name),
    operation: String(row.operation),
    clone: String(row.clone),
    snapshot: String(row.snapshot),
    token: String(row.token),
    address: String(row.address),
    status: Number(row.status),
    errorCode: String(row.error_code),
    reason: String(row.reason),
    requestId: String(row.request_id),
  }
}
