import { type Clone, type ErrorCode, errorCodeValues, type RetrievalRun } from './schema.gen.ts'

/** Which request an error is about: never its query, headers or body. */
export interface RequestContext {
  method: string
  /** Without the base URL's prefix and without the query. */
  path: string
}

export interface LabApiErrorFields extends RequestContext {
  status: number
  rawCode: string | undefined
  title: string
  hint: string
  detail: string | undefined
  requestId: string | undefined
  retryAfterSeconds: number | undefined
}

/**
 * The lab, or something in front of it, refused a request.
 *
 * @example
 * try {
 *   await lab.clones.get('nightly')
 * } catch (error) {
 *   if (!isLabApiError(error, 'CLONE_NOT_FOUND')) throw error
 * }
 */
export class LabApiError extends Error {
  override readonly name = 'LabApiError'
  /**
   * For programs: one of the codes that this version of the SDK knows, so a `switch` over it can be checked for completeness. `UNKNOWN`
   * for a code of a newer server (then see `rawCode`) and for an answer that is not the lab's, such as a proxy's HTML page.
   */
  readonly code: ErrorCode | 'UNKNOWN'
  /** The code as it came; undefined when the answer had none. */
  readonly rawCode: string | undefined
  /** The HTTP status. */
  readonly status: number
  /** For people: the code in words, such as "Not enough disk space". The wire calls it `name`, which an Error has already. */
  readonly title: string
  /** For people: what to do about it. */
  readonly hint: string
  /** What exactly was wrong this time; the beginning of the answer where it is not the lab's. */
  readonly detail: string | undefined
  /** Finds the request in the server's log. */
  readonly requestId: string | undefined
  /** When the server asks to be tried again, in seconds. */
  readonly retryAfterSeconds: number | undefined
  readonly method: string
  readonly path: string

  constructor(fields: LabApiErrorFields) {
    const { method, path, status, rawCode, title, hint, detail, requestId } = fields
    const where = [
      `${method} ${path}`,
      [status, rawCode].filter(Boolean).join(' '),
      requestId && `request ${requestId}`,
    ]
    super(
      [`${title}${detail ? `: ${detail}` : ''}.`, hint, `(${where.filter(Boolean).join(', ')})`]
        .filter(Boolean)
        .join(' '),
    )
    this.code = rawCode !== undefined && isErrorCode(rawCode) ? rawCode : 'UNKNOWN'
    this.rawCode = rawCode
    this.status = status
    this.title = title
    this.hint = hint
    this.detail = detail
    this.requestId = requestId
    this.retryAfterSeconds = fields.retryAfterSeconds
    this.method = method
    this.path = path
  }
}

/** True for a LabApiError with one of these codes, or with any when none is named: for a `catch` that expects just them. */
export function isLabApiError(error: unknown, ...codes: LabApiError['code'][]): error is LabApiError {
  return error instanceof LabApiError && (codes.length === 0 || codes.includes(error.code))
}

/** No whole answer came: the lab is not running, the address is wrong, or the connection was cut. `cause` says which. */
export class LabConnectionError extends Error {
  override readonly name = 'LabConnectionError'
  readonly method: string
  readonly path: string

  /** @param origin the lab's scheme, host and port */
  constructor({ method, path }: RequestContext, origin: string, cause: unknown) {
    const why = systemCode(cause)
    super(`No answer from the lab at ${origin}${why ? `: ${why}` : ''} (${method} ${path})`, { cause })
    this.method = method
    this.path = path
  }
}

/** The call's `timeoutMs` was over before it was done. */
export class LabTimeoutError extends Error {
  override readonly name = 'LabTimeoutError'
  readonly timeoutMs: number

  /** @param what was being done, such as "creating a clone" */
  constructor(what: string, timeoutMs: number) {
    super(`Timed out after ${timeoutMs} ms: ${what}`)
    this.timeoutMs = timeoutMs
  }
}

/**
 * A clone will not get where it was waited for: it is FATAL, its reset failed and left it the data from before (the status' message says
 * why), or somebody deletes it.
 */
export class CloneFailedError extends Error {
  override readonly name = 'CloneFailedError'
  /** As it was last seen. */
  readonly clone: Clone

  constructor(clone: Clone, what = `is ${clone.status.code}`) {
    super(`Clone ${clone.id} ${what}: ${clone.status.message}`)
    this.clone = clone
  }
}

/** The data could not be brought in, or somebody stopped it: what there was before is still there. */
export class RefreshFailedError extends Error {
  override readonly name = 'RefreshFailedError'
  /** As it ended. */
  readonly run: RetrievalRun

  constructor(run: RetrievalRun) {
    const { message = '', hint = '' } = run.error ?? {}
    super([`Refresh ${run.id} ended as ${run.outcome}${message && `: ${message}`}.`, hint].filter(Boolean).join(' '))
    this.run = run
  }
}

/** How far down the causes of an error its code is looked for: fetch wraps once, undici twice. */
const CAUSE_DEPTH = 4

/** The code that Node or undici gave an error or one of its causes, such as `ECONNREFUSED`. */
export function systemCode(error: unknown): string | undefined {
  let current = error
  for (let depth = 0; depth < CAUSE_DEPTH && current instanceof Error; depth += 1) {
    if ('code' in current && typeof current.code === 'string') return current.code
    current = current.cause
  }
  return undefined
}

const knownCodes: ReadonlySet<string> = new Set(errorCodeValues)

function isErrorCode(code: string): code is ErrorCode {
  return knownCodes.has(code)
}
