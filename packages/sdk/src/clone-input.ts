import type { CreateCloneDatabase, CreateCloneRequest, UpdateCloneRequest } from './schema.gen.ts'

/**
 * The role of a clone whose creator names none. Not `postgres`: in data that was copied physically that is the superuser, which the lab
 * refuses. Not a common word such as `app`: the data may have that role already, with settings or a schema of its own.
 */
const DEFAULT_USERNAME = 'clone'

const UNIT_MS = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000, w: 604_800_000 }

/** When a clone deletes itself: at most one of the two. */
export interface Lifetime {
  /** A moment; a text is ISO 8601. */
  deleteAt?: Date | string | undefined
  /** From now by this machine's clock, such as `90s`, `30m`, `2h`, `7d`, `1w`. */
  ttl?: string | undefined
}

/** What a clone is to be: the API's request, with everything optional. */
export interface CreateCloneInput extends Omit<CreateCloneRequest, 'db' | 'deleteAt'>, Lifetime {
  /** The login. Left out: the user `clone` with a random password, in the snapshot's main database. */
  db?: Partial<CreateCloneDatabase> | undefined
}

/** What is to change; what is left out stays. */
export interface UpdateCloneInput extends Omit<UpdateCloneRequest, 'deleteAt'> {
  /** A moment; a text is ISO 8601; null for never. */
  deleteAt?: Date | string | null | undefined
  /** From now by this machine's clock, such as `2h`. */
  ttl?: string | undefined
}

/** @throws TypeError for a ttl or a date that is none, and for both at once */
export function toCreateRequest({ db, deleteAt, ttl, ...rest }: CreateCloneInput): CreateCloneRequest {
  return {
    ...rest,
    ...lifetime(deleteAt, ttl),
    db: { ...db, username: db?.username ?? DEFAULT_USERNAME, password: db?.password ?? randomHex(20) },
  }
}

/** @throws TypeError for a ttl or a date that is none, and for both at once */
export function toUpdateRequest({ deleteAt, ttl, ...rest }: UpdateCloneInput): UpdateCloneRequest {
  return { ...rest, ...(deleteAt === null && ttl === undefined ? { deleteAt } : lifetime(deleteAt, ttl)) }
}

/** Random bytes as hexadecimal digits, from the platform's cryptographic source: Node and browsers have the same one. */
export function randomHex(bytes: number): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(bytes)), (byte) => byte.toString(16).padStart(2, '0')).join(
    '',
  )
}

/** When a token ends: at most one of the two; neither for never. */
export interface TokenLifetime {
  /** A moment; a text is ISO 8601. */
  expiresAt?: Date | string | undefined
  /** From now by this machine's clock, such as `12h`, `90d`, `1w`. */
  ttl?: string | undefined
}

/** @throws TypeError for a ttl or a date that is none, and for both at once */
export function expiry(expiresAt: Date | string | undefined, ttl: string | undefined): { expiresAt?: string } {
  if (ttl !== undefined) {
    if (expiresAt !== undefined) throw new TypeError('give either expiresAt or ttl, not both')
    return { expiresAt: toIso(new Date(Date.now() + parseTtl(ttl)), 'ttl') }
  }
  if (expiresAt === undefined) return {}
  return { expiresAt: typeof expiresAt === 'string' ? expiresAt : toIso(expiresAt, 'expiresAt') }
}

function lifetime(deleteAt: Date | string | null | undefined, ttl: string | undefined): { deleteAt?: string } {
  if (ttl !== undefined) {
    if (deleteAt !== undefined) throw new TypeError('give either deleteAt or ttl, not both')
    return { deleteAt: toIso(new Date(Date.now() + parseTtl(ttl)), 'ttl') }
  }
  if (deleteAt === undefined || deleteAt === null) return {}
  return { deleteAt: typeof deleteAt === 'string' ? deleteAt : toIso(deleteAt, 'deleteAt') }
}

function parseTtl(ttl: string): number {
  const match = /^(\d+)([smhdw])$/.exec(ttl)
  const milliseconds = Number(match?.[1]) * (UNIT_MS[match?.[2] as keyof typeof UNIT_MS] ?? 0)
  if (milliseconds > 0) return milliseconds
  throw new TypeError('ttl must be a number with a unit (s, m, h, d or w), such as 90s, 2h or 7d')
}

function toIso(time: Date, field: string): string {
  if (Number.isNaN(time.getTime())) throw new TypeError(`${field} is no date that can be written down`)
  return time.toISOString()
}
