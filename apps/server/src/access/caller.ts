import type { Role } from '@dblab/models'
import { LabError } from '../errors.ts'

/** Who sends a request: whoever holds a token. */
export interface Caller {
  /** Null for the lab's first token. */
  tokenId: string | null
  name: string
  role: Role
}

/** The token that every lab has: outside of the catalogue, so that the loss of that locks nobody out. */
export const FIRST_TOKEN: Caller = { tokenId: null, name: 'first', role: 'admin' }

/** Whoever asks for what takes no token: owns nothing, since no token has this id. */
export const NOBODY: Caller = { tokenId: '', name: '', role: 'member' }

/** Names that stand for somebody else in the audit log. */
export const RESERVED_NAMES: readonly string[] = [FIRST_TOKEN.name, 'lab', 'command']

/** What a token made is its own, whatever its requests claim. The others see and change what anybody made, as far as they may at all. */
export function owns({ role, tokenId }: Caller, made: { tokenId: string | null }): boolean {
  return role !== 'member' || (tokenId !== null && made.tokenId === tokenId)
}

/** For a filter: the token whose clones alone a caller sees; undefined for all. */
export function scopeOf({ role, tokenId }: Caller): string | undefined {
  return role === 'member' ? (tokenId ?? '') : undefined
}

/**
 * Refuses a member somebody else's clone just where, and as, it refuses one that is not there: whatever is looked at later could tell the
 * two apart. For the others, what is not there is for the service to tell.
 */
export function requireOwned(caller: Caller, clone: { tokenId: string | null } | undefined): void {
  if (clone && !owns(caller, clone)) throw new NotOwnedError()
  if (!clone && caller.role === 'member') throw new LabError('CLONE_NOT_FOUND', NO_SUCH_CLONE)
}

const NO_SUCH_CLONE = 'there is no clone with this id'

/** Somebody else's, shown to its sender as one that is not there, so that nobody finds out what there is; the audit log tells them apart. */
export class NotOwnedError extends LabError {
  constructor() {
    super('CLONE_NOT_FOUND', NO_SUCH_CLONE)
  }
}
