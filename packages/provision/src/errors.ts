import { constants } from 'node:os'

/** What went wrong, for code to decide on. The sentence in `message` is for people. */
export type ProvisionErrorCode =
  | 'NOT_FOUND'
  | 'ALREADY_EXISTS'
  | 'IN_USE'
  | 'INVALID'
  | 'NO_SPACE'
  | 'UNAVAILABLE'
  | 'TIMEOUT'
  | 'ABORTED'
  | 'FAILED'

export interface ProvisionErrorOptions extends ErrorOptions {
  /** What the reader can do about it: one or two sentences. */
  hint?: string
  /** For IN_USE: the ids of what stands in the way. */
  users?: readonly string[]
}

/** Every failure that this package reports on purpose. Anything else that escapes is a bug. */
export class ProvisionError extends Error {
  override readonly name = 'ProvisionError'
  readonly code: ProvisionErrorCode
  readonly hint: string | undefined
  readonly users: readonly string[]

  constructor(code: ProvisionErrorCode, message: string, options: ProvisionErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.code = code
    this.hint = options.hint
    this.users = options.users ?? []
  }
}

/** True for a ProvisionError of one of these codes: for a `catch` that expects just them and rethrows the rest. */
export function isProvisionError(error: unknown, ...codes: ProvisionErrorCode[]): error is ProvisionError {
  return error instanceof ProvisionError && (codes.length === 0 || codes.includes(error.code))
}

/** True for an error of the operating system with one of these codes, such as `ENOENT`; without codes, with any. */
export function isSystemError(error: unknown, ...codes: string[]): error is NodeJS.ErrnoException {
  const code = systemCode(error)
  if (code === undefined) return false
  return codes.length === 0 ? error instanceof Error && 'syscall' in error : codes.includes(code)
}

/** Node has no name for this one: its code is then "Unknown system error -122". */
const EDQUOT = -constants.errno.EDQUOT

/** An error's code, such as `ENOENT`, where it has one. */
export function systemCode(error: unknown): string | undefined {
  if (!(error instanceof Error && 'code' in error && typeof error.code === 'string')) return undefined
  return 'errno' in error && error.errno === EDQUOT ? 'EDQUOT' : error.code
}
