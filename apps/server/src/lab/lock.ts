import { closeSync, openSync } from 'node:fs'
import { DatabaseSync } from 'node:sqlite'

/** Another process works on the same data directory. */
export class LabLockedError extends Error {
  override readonly name = 'LabLockedError'
}

/**
 * Holds a data directory for this process alone. SQLite's lock is the kernel's (fcntl): it ends with the process however that ends, and
 * is not inherited by the servers that it starts.
 *
 * @throws LabLockedError
 */
export function lockDataDir(file: string): Disposable {
  // Nobody else may open it: whoever can read a file can lock it. Its journal gets the same mode.
  closeSync(openSync(file, 'a', 0o600))
  const db = new DatabaseSync(file, { timeout: 0 })
  try {
    // Without a journal, which would need room on the disk.
    db.exec('PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE')
  } catch (error) {
    db.close()
    if (error instanceof Error && 'errcode' in error && error.errcode === SQLITE_BUSY) {
      throw new LabLockedError('another process works on this data directory', { cause: error })
    }
    throw error
  }
  return { [Symbol.dispose]: () => db.close() }
}

/** https://www.sqlite.org/rescode.html#busy */
const SQLITE_BUSY = 5
