import type { UserRole } from './postgres/roles.ts'
import type { SnapshotRef } from './storage/driver.ts'

/** Of a clone that has its user. */
export interface LoginCase {
  /** What it is a clone of. */
  origin: SnapshotRef | undefined
  database: string
  username: string
  role: UserRole
  /** The rules of access name the user; else a role lets them in, which was tried when the instance was started. */
  byName: boolean
}

/** What shows that a login works: a login, the server's challenge for it, or nothing beyond what others have shown. */
export type Proof = 'login' | 'challenge' | 'none'

/** Of what is long gone, most of it. */
const MOST = 10_000

/**
 * What logins to other clones have shown. Whether a database lets its user in is the same for all clones of a snapshot, and the rules of
 * access are the same for all clones of one user's name. What is each clone's own is seen without a login: its port in the server's log, and its
 * verifier, which is set by the statement that set the one of the clone that was logged in to.
 */
export class ProvenLogins {
  readonly #databases = new Set<string>()
  readonly #names = new Set<string>()

  missing(of: LoginCase): Proof {
    if (!this.#databases.has(databaseOf(of))) return 'login'
    return of.byName && !this.#names.has(of.username) ? 'challenge' : 'none'
  }

  note(of: LoginCase, proof: Proof): void {
    if (proof === 'login') add(this.#databases, databaseOf(of))
    if (proof !== 'none' && of.byName) add(this.#names, of.username)
  }
}

/** A role that stood ready is like any other; one that the data has may be different in everything. */
function databaseOf({ origin, database, username, role }: LoginCase): string {
  return JSON.stringify([origin, database, role === 'taken' ? null : username])
}

function add(set: Set<string>, key: string): void {
  if (set.size >= MOST) set.clear()
  set.add(key)
}
