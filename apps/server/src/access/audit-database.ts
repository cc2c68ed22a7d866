import { closeSync, openSync, renameSync } from 'node:fs'
import { DatabaseSync } from 'node:sqlite'
import { isSystemError } from '@dblab/provision'
import type { Logger } from '../log.ts'

/** The condition of an entry about a request that was refused for its token. */
export const IS_REFUSAL = "error_code IN ('UNAUTHORIZED', 'FORBIDDEN', 'TOO_MANY_ATTEMPTS')"

const SCHEMA = `
CREATE TABLE IF NOT EXISTS audit (
  -- Never given twice, so that it can be paged by.
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  at TEXT NOT NULL,
  token_id TEXT NOT NULL,
  token_name TEXT NOT NULL,
  operation TEXT NOT NULL,
  clone TEXT NOT NULL,
  snapshot TEXT NOT NULL,
  token TEXT NOT NULL,
  address TEXT NOT NULL,
  status INTEGER NOT NULL,
  error_code TEXT NOT NULL,
  reason TEXT NOT NULL,
  request_id TEXT NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS audit_of_clone ON audit (clone, id) WHERE clone <> '';
CREATE INDEX IF NOT EXISTS audit_of_refusals ON audit (id) WHERE ${IS_REFUSAL};
`

/** https://www.sqlite.org/rescode.html: CORRUPT, NOTADB */
const DAMAGED = [11, 26]

/**
 * Opens the file of the audit log, or makes it. One that is damaged is put aside, not removed.
 *
 * `synchronous=NORMAL`: what was written outlives the server, however that ends; a power cut can cost the newest entries, and nothing else.
 */
export function openAuditDatabase(file: string, log: Logger): DatabaseSync {
  try {
    return open(file)
  } catch (error) {
    if (!isDamage(error)) throw error
    const aside = `${file}-damaged-${Date.now()}`
    for (const suffix of ['', '-wal', '-shm']) moveIfThere(`${file}${suffix}`, `${aside}${suffix}`)
    log.error('the audit log is damaged; it was put aside, and a new one begun', { aside, error })
    return open(file)
  }
}

function open(file: string): DatabaseSync {
  // SQLite gives the files beside it the same mode.
  if (file !== ':memory:') closeSync(openSync(file, 'a', 0o600))
  // Nobody but the server writes here; whoever does all the same must not hold it up.
  const db = new DatabaseSync(file, { timeout: 50 })
  try {
    db.exec(`PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; ${SCHEMA}`)
    return db
  } catch (error) {
    db.close()
    throw error
  }
}

function isDamage(error: unknown): boolean {
  return error instanceof Error && 'errcode' in error && DAMAGED.includes(Number(error.errcode) & 0xff)
}

function moveIfThere(from: string, to: string): void {
  try {
    renameSync(from, to)
  } catch (error) {
    if (!isSystemError(error, 'ENOENT')) throw error
  }
}
