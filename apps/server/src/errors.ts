import type { ErrorCode } from '@dblab/models'
import { isProvisionError, isSystemError } from '@dblab/provision'

/** A request that can't be met, for a reason that its sender is told. What the code means as a status is http/errors.ts' to know. */
export class LabError extends Error {
  override readonly name = 'LabError'
  readonly code: ErrorCode
  /** For TOO_BUSY and the like: when to come back, in seconds. */
  readonly retryAfterSeconds: number | undefined

  /** @param detail what exactly was wrong; never holds a value that the request sent */
  constructor(code: ErrorCode, detail: string, options: ErrorOptions & { retryAfterSeconds?: number } = {}) {
    super(detail, options)
    this.code = code
    this.retryAfterSeconds = options.retryAfterSeconds
  }
}

/** For an error that is out of space and says no more. */
export const DISK_FULL = 'The disk of the data directory is full.'

/** True where a disk had no room: that of the pool, of the catalogue, or of any other file. */
export function isOutOfSpace(error: unknown): boolean {
  return (
    isProvisionError(error, 'NO_SPACE') ||
    (error instanceof LabError && error.code === 'NOT_ENOUGH_DISK_SPACE') ||
    isSystemError(error, 'ENOSPC', 'EDQUOT') ||
    sqliteCode(error) === SQLITE_FULL
  )
}

/** True where the catalogue's file can't be read or written. */
export function isUnreachableCatalogue(error: unknown): boolean {
  const code = sqliteCode(error)
  return code !== undefined && SQLITE_UNREACHABLE.includes(code)
}

/** https://www.sqlite.org/rescode.html: FULL; BUSY, READONLY, IOERR, CANTOPEN */
const SQLITE_FULL = 13
const SQLITE_UNREACHABLE = [5, 8, 10, 14]

/** The primary result code: the lower eight bits of an extended one. */
function sqliteCode(error: unknown): number | undefined {
  if (!(error instanceof Error && 'code' in error && error.code === 'ERR_SQLITE_ERROR')) return undefined
  return 'errcode' in error ? Number(error.errcode) & 0xff : 1
}
