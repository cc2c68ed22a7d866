import { ProvisionError } from '../errors.ts'

/** The lab's own superuser, which comes over the socket and never over TCP. In a cluster that we make, the bootstrap one. */
export const LAB_ROLE = 'dblab'
/** The lab's own database, for its connections: they never count as use, nor stand in the way of CREATE DATABASE. */
export const LAB_DATABASE = 'dblab'
/** Owns what a clone's users must be able to alter. Nobody logs in as it; each clone's user is a member. */
export const OWNER_ROLE = 'dblab_owner'
/**
 * Has what superusers of the data made as parts of extensions: plain, so that none of its code ever runs with a superuser's rights, and
 * without members, so that nobody alters it or opens it to others.
 */
export const EXTENSION_ROLE = 'dblab_extensions'
/** Stands ready in each base to become the user of a clone: that takes its name then. Nobody logs in as it. */
export const NEXT_USER_ROLE = 'dblab_next_user'
/** Who is a member of it may log in to an instance that was started ahead: the next user, once that has a name. */
export const USERS_ROLE = 'dblab_users'
/** A temporary superuser that imports run as, so that what they make can be told from what the system made, and handed over. */
export const IMPORT_ROLE = 'dblab_import'
/** FirstNormalObjectId (src/include/access/transam.h): what has a lower number came with the cluster. */
export const FIRST_OWN_OID = 16384
/**
 * Where the links in pg_tblspc of a tablespace that lies in the volume lead, less its number: beside the data directory, and by a relative
 * way, so that those of a copy lead into the copy.
 */
export const TABLESPACE_LINK = '../../tablespaces/'

/** NAMEDATALEN - 1: Postgres cuts a longer identifier short without a word. */
const MAX_NAME_BYTES = 63

/**
 * Refuses what can't be the name of a clone's user.
 * @throws ProvisionError INVALID
 */
export function assertUserName(name: string): void {
  refuse(isReserved(name) ? 'it is reserved' : nameProblem(name))
}

/** Refuses what can't log in over TCP: as `assertUserName`, but an import may come as its own role. */
export function assertLoginName(name: string): void {
  refuse(isReserved(name) && name !== IMPORT_ROLE ? 'it is reserved' : nameProblem(name))
}

function refuse(problem: string | undefined): void {
  if (problem === undefined) return
  throw new ProvisionError('INVALID', `this can't be a database user's name: ${problem}`, {
    hint: 'Choose another name.',
  })
}

function isReserved(name: string): boolean {
  const reserved: string[] = [
    LAB_ROLE,
    OWNER_ROLE,
    EXTENSION_ROLE,
    NEXT_USER_ROLE,
    USERS_ROLE,
    IMPORT_ROLE,
    'public',
    'none',
  ]
  return reserved.includes(name)
}

function nameProblem(name: string): string | undefined {
  if (name === '') return 'it is empty'
  if (Buffer.byteLength(name) > MAX_NAME_BYTES) return `it is longer than ${MAX_NAME_BYTES} bytes`
  // pg_hba.conf, which lists the users, can't hold a line break; half a surrogate pair has no UTF-8.
  if (['\0', '\n', '\r'].some((character) => name.includes(character))) return 'it has a line break or a zero byte'
  if (!name.isWellFormed()) return 'it is not valid Unicode'
  if (name.startsWith('pg_')) return "names that begin with pg_ are PostgreSQL's own"
  return undefined
}
