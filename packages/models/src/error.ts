/** Every way in which a request can fail. Closed: a new code is a new minor version. */
export type ErrorCode =
  | 'INVALID_REQUEST'
  | 'INVALID_JSON'
  | 'BODY_TOO_LARGE'
  | 'UNSUPPORTED_MEDIA_TYPE'
  | 'UNAUTHORIZED'
  | 'FORBIDDEN'
  | 'TOO_MANY_ATTEMPTS'
  | 'PATH_NOT_FOUND'
  | 'METHOD_NOT_ALLOWED'
  | 'CLONE_NOT_FOUND'
  | 'CLONE_ALREADY_EXISTS'
  | 'CLONE_PROTECTED'
  | 'CLONE_NOT_READY'
  | 'CLONE_LIMIT_REACHED'
  | 'SNAPSHOT_NOT_FOUND'
  | 'SNAPSHOT_ALREADY_EXISTS'
  | 'SNAPSHOT_IN_USE'
  | 'SNAPSHOT_PROTECTED'
  | 'SNAPSHOT_UNMASKED'
  | 'SOURCE_SETTINGS_UNKNOWN'
  | 'DATABASE_NOT_FOUND'
  | 'USERNAME_NOT_ALLOWED'
  | 'IDEMPOTENCY_KEY_REUSED'
  | 'NO_SOURCE'
  | 'REFRESH_RUNNING'
  | 'REFRESH_NOT_RUNNING'
  | 'TOKEN_NOT_FOUND'
  | 'TOKEN_ALREADY_EXISTS'
  | 'NOT_ENOUGH_DISK_SPACE'
  | 'TOO_BUSY'
  | 'NO_FREE_PORT'
  | 'CATALOGUE_UNREADABLE'
  | 'STORAGE_UNAVAILABLE'
  | 'SHUTTING_DOWN'
  | 'INTERNAL_ERROR'

/** The one form of every error answer. */
export interface Error {
  /** For programs. */
  code: ErrorCode
  /** For people: the code in words, such as "Not enough disk space". */
  name: string
  /** What to do about it. */
  hint: string
  /** What exactly was wrong this time. Never holds a value that the request sent. */
  detail?: string
  /** Finds the request in the server's log. Also in the `X-Request-Id` header. */
  requestId: string
}
