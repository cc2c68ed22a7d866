import type { ErrorCode, Error as WireError } from '@dblab/models'
import { isProvisionError } from '@dblab/provision'
import { ValidateError } from '@tsoa/runtime'
import type { ErrorRequestHandler, RequestHandler } from 'express'
import { NotOwnedError } from '../access/caller.ts'
import { firstCause } from '../cloning/explain.ts'
import { DISK_FULL, isOutOfSpace, isUnreachableCatalogue, LabError } from '../errors.ts'
import type { Logger } from '../log.ts'
import { explainFields } from './explain-fields.ts'

/** What each code means as a status, in words, and what to do about it: the one table. */
export const errorTable: Record<ErrorCode, { status: number; name: string; hint: string }> = {
  INVALID_REQUEST: {
    status: 400,
    name: 'Invalid request',
    hint: 'Change the fields that the detail names; /docs has the form of every request',
  },
  INVALID_JSON: {
    status: 400,
    name: 'Invalid JSON',
    hint: 'Send one JSON object in UTF-8, as Content-Type application/json',
  },
  BODY_TOO_LARGE: {
    status: 413,
    name: 'Request body too large',
    hint: 'Send less, or raise bodyLimit in the configuration',
  },
  UNSUPPORTED_MEDIA_TYPE: {
    status: 415,
    name: 'Unsupported media type',
    hint: 'Send the body as application/json, in UTF-8',
  },
  UNAUTHORIZED: {
    status: 401,
    name: 'Unauthorized',
    hint: 'Send the token as "Authorization: Bearer TOKEN" or "Verification-Token: TOKEN"; the server says at its start where it is kept',
  },
  FORBIDDEN: {
    status: 403,
    name: 'Forbidden',
    hint: 'Ask with a token whose role may do this, or ask an admin of the lab for one',
  },
  TOO_MANY_ATTEMPTS: {
    status: 429,
    name: 'Too many attempts',
    hint: 'Correct the token; right ones are taken at any time',
  },
  PATH_NOT_FOUND: { status: 404, name: 'Path not found', hint: 'See /docs for the paths that there are' },
  METHOD_NOT_ALLOWED: {
    status: 405,
    name: 'Method not allowed',
    hint: 'The Allow header lists the methods of this path',
  },
  CLONE_NOT_FOUND: { status: 404, name: 'Clone not found', hint: 'GET /clones lists the clones that there are' },
  CLONE_ALREADY_EXISTS: {
    status: 409,
    name: 'Clone already exists',
    hint: 'Choose another id, or leave it out for a random one',
  },
  CLONE_PROTECTED: { status: 409, name: 'Clone is protected', hint: 'PATCH it with { "protected": false } first' },
  CLONE_NOT_READY: {
    status: 409,
    name: 'Clone is not ready',
    hint: 'Wait until what is under way for it has ended, then try again',
  },
  CLONE_LIMIT_REACHED: {
    status: 409,
    name: 'Limit of clones reached',
    hint: 'Delete clones that nobody uses, or raise the limit that the detail names in the configuration',
  },
  SNAPSHOT_NOT_FOUND: {
    status: 404,
    name: 'Snapshot not found',
    hint: 'GET /snapshots lists the snapshots that there are; leave it out for the newest',
  },
  SNAPSHOT_ALREADY_EXISTS: { status: 409, name: 'Snapshot already exists', hint: 'Choose another id, or leave it out' },
  SNAPSHOT_IN_USE: {
    status: 409,
    name: 'Snapshot is in use',
    hint: 'Delete the clones that stand on it, or reset them to another snapshot',
  },
  DATABASE_NOT_FOUND: {
    status: 400,
    name: 'Database not found',
    hint: 'Ask for one of the databases that the detail names, or leave db.dbName out',
  },
  USERNAME_NOT_ALLOWED: { status: 400, name: 'Username not allowed', hint: 'Ask for another db.username' },
  SNAPSHOT_PROTECTED: {
    status: 409,
    name: 'Snapshot is protected',
    hint: 'PATCH it with { "protected": false } first',
  },
  SNAPSHOT_UNMASKED: {
    status: 409,
    name: 'Snapshot is not masked',
    hint: 'Take one that was masked (maskVersion in GET /snapshots), or bring the data in anew (POST /refresh)',
  },
  SOURCE_SETTINGS_UNKNOWN: {
    status: 409,
    name: "Source's settings are not known",
    hint: 'Ask for another profile (dev), or take a snapshot that has them (hasPlanSettings in GET /snapshots): of a live source, or of files with their postgresql.conf, brought in anew (POST /refresh)',
  },
  IDEMPOTENCY_KEY_REUSED: {
    status: 409,
    name: 'Idempotency key reused',
    hint: 'Use a new Idempotency-Key for a new request',
  },
  TOKEN_NOT_FOUND: { status: 404, name: 'Token not found', hint: 'GET /tokens lists the tokens that there are' },
  TOKEN_ALREADY_EXISTS: {
    status: 409,
    name: 'Token already exists',
    hint: 'Choose another name; where it is the name of an active token, that can be revoked',
  },
  NO_SOURCE: {
    status: 409,
    name: 'No source configured',
    hint: 'Name where data comes from in the configuration (retrieval.sources), or start the server with --source',
  },
  REFRESH_RUNNING: {
    status: 409,
    name: 'A refresh is running',
    hint: 'Wait until it has ended (GET /retrieval), or stop it (DELETE /refresh)',
  },
  REFRESH_NOT_RUNNING: {
    status: 409,
    name: 'No refresh is running',
    hint: 'POST /refresh begins one',
  },
  NOT_ENOUGH_DISK_SPACE: {
    status: 507,
    name: 'Not enough disk space',
    hint: 'Stop idle clones, change snapshot policy or increase disk size',
  },
  TOO_BUSY: { status: 503, name: 'Too much work at once', hint: 'Try again after the seconds that Retry-After says' },
  NO_FREE_PORT: {
    status: 503,
    name: 'No free port',
    hint: 'Delete clones, or widen clones.portFrom to clones.portTo in the configuration',
  },
  CATALOGUE_UNREADABLE: {
    status: 503,
    name: 'Catalogue unreadable',
    hint: 'Nothing was removed. Stop the server, then put its last copy (catalogue.db, with its -wal and -seal) in place of the damaged one, or make a new one with "npm run rebuild", and start it again',
  },
  STORAGE_UNAVAILABLE: {
    status: 503,
    name: 'Storage unavailable',
    hint: 'See GET /status and the log of the server for what the pool needs',
  },
  SHUTTING_DOWN: { status: 503, name: 'Server is stopping', hint: 'Try again when it is up' },
  INTERNAL_ERROR: {
    status: 500,
    name: 'Internal error',
    hint: "A defect of the server: its log has the whole story under the request's id",
  },
}

interface Failure {
  code: ErrorCode
  detail?: string | undefined
  retryAfterSeconds?: number | undefined
}

/** Turns whatever was raised into the one form of an error, and logs what was not meant. Comes last. */
export function errorHandler(log: Logger): ErrorRequestHandler {
  return (error, request, response, next) => {
    if (response.headersSent) {
      next(error)
      return
    }
    const requestId = String(response.locals.requestId)
    const failure = classify(error)
    const { status, name, hint } = errorTable[failure.code]
    // For the audit log.
    response.locals.errorCode = failure.code
    if (error instanceof NotOwnedError) response.locals.reason = "another token's clone"
    const fields = { requestId, method: request.method, code: failure.code, error }
    if (failure.code === 'INTERNAL_ERROR') log.error('request failed', fields)
    else if (hasStory(error, status)) log.warn('request failed', fields)
    if (failure.retryAfterSeconds !== undefined) response.setHeader('Retry-After', String(failure.retryAfterSeconds))
    if (status === 401) response.setHeader('WWW-Authenticate', 'Bearer realm="dblab"')
    const body: WireError = {
      code: failure.code,
      name,
      hint,
      ...(failure.detail && { detail: failure.detail }),
      requestId,
    }
    response.status(status).json(body)
  }
}

/** What the sender is not told: why something did not work that was asked for rightly. */
function hasStory(error: unknown, status: number): boolean {
  if (status < 500 && status !== 409) return false
  return !(error instanceof LabError) || error.cause !== undefined
}

function classify(raised: unknown): Failure {
  const error = firstCause(raised)
  if (error instanceof LabError)
    return { code: error.code, detail: error.message, retryAfterSeconds: error.retryAfterSeconds }
  if (error instanceof ValidateError) return { code: 'INVALID_REQUEST', detail: explainFields(error) }
  if (isProvisionError(error, 'INVALID')) return { code: 'INVALID_REQUEST', detail: error.message }
  if (isOutOfSpace(error))
    return { code: 'NOT_ENOUGH_DISK_SPACE', detail: isProvisionError(error) ? undefined : DISK_FULL }
  // A row that can't be is a defect of ours; a file that can't be read or written is the disk's.
  if (isUnreachableCatalogue(error))
    return { code: 'STORAGE_UNAVAILABLE', detail: 'the catalogue does not answer', retryAfterSeconds: 30 }
  if (isProvisionError(error, 'UNAVAILABLE')) {
    return { code: 'STORAGE_UNAVAILABLE', detail: error.message, retryAfterSeconds: 30 }
  }
  return bodyFailure(error) ?? { code: 'INTERNAL_ERROR' }
}

/** What express and its body parser raise: an http-errors object with a type. */
function bodyFailure(error: unknown): Failure | undefined {
  if (!(error instanceof Error) || !('status' in error)) return undefined
  const type = 'type' in error ? String(error.type) : ''
  if (type === 'entity.too.large') return { code: 'BODY_TOO_LARGE' }
  if (type === 'entity.parse.failed' || type === 'request.size.invalid' || type === 'request.aborted')
    return { code: 'INVALID_JSON' }
  if (type === 'charset.unsupported' || type === 'encoding.unsupported') return { code: 'UNSUPPORTED_MEDIA_TYPE' }
  const status = Number(error.status)
  // A path or query with a bad percent escape, and whatever else express blames on the sender.
  return status >= 400 && status < 500 ? { code: 'INVALID_REQUEST', detail: 'the request can not be read' } : undefined
}

/** For every path that no route took. A path that other methods have says which. */
export function unknownPath(methodsOf: (path: string) => string[]): RequestHandler {
  return (request, response, next) => {
    const methods = methodsOf(request.path)
    if (methods.length === 0) {
      next(new LabError('PATH_NOT_FOUND', 'the server has no such path'))
      return
    }
    response.setHeader('Allow', methods.join(', '))
    if (request.method === 'OPTIONS') {
      response.status(204).end()
      return
    }
    next(new LabError('METHOD_NOT_ALLOWED', `this path takes ${methods.join(', ')}`))
  }
}
