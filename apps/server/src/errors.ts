import type { ErrorCode } from '@dblab/models'

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
