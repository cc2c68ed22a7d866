import { type Client, escapeIdentifier, escapeLiteral } from 'pg'
import { ProvisionError } from '../errors.ts'
import { type LabAddress, sqlState, withLabConnection } from './connect.ts'
import { BOOTSTRAP_OID } from './disarm.ts'
import { assertUserName, LAB_DATABASE, LAB_ROLE, USERS_ROLE } from './names.ts'
import { commitStatement, type Durability, membershipStatements, takeNextUser, USER_ATTRIBUTES } from './next-user.ts'
import { quietStatements } from './quiet.ts'
import { isScramVerifier } from './scram.ts'

const SUPERUSER_ATTRIBUTES = `inherit createdb connection limit -1 valid until 'infinity'`

/** What a clone's user is: the role that stood ready, or one that was made, or taken over from the data. */
export type UserRole = 'taken' | 'made'

export interface UserSpec {
  /** The main database, as `prepareBase` left it. */
  database: string
  username: string
  /** As `scramVerifier` makes it; never the password. */
  verifier: string
  /** Lets the user be a role that is a superuser in the data, and stays one; without it, no role does. Nobody is made a superuser. */
  allowSuperuser: boolean
}

/**
 * Gives a clone its user: a plain role with this password that may do with the main database what its owner may, and make databases of
 * its own. A role of that name that the data has is taken over, with its grants and its settings, but for those of the log. Harmless to
 * do again.
 *
 * @throws ProvisionError INVALID for a name that can't be, or is a superuser's; NOT_FOUND when there is no such database
 */
export async function setUpUser(instance: LabAddress, spec: UserSpec, signal?: AbortSignal): Promise<void> {
  await asUserOf(spec, () =>
    withLabConnection(
      instance,
      spec.database,
      async (client) => {
        await setUpUserIn(client, spec, 'now')
      },
      { signal },
    ),
  )
}

/**
 * Turns what a session in the user's database fails with into what is wrong with the user.
 *
 * @throws ProvisionError INVALID before there is a session
 */
export async function asUserOf<T>(spec: UserSpec, session: () => Promise<T>): Promise<T> {
  assertUserName(spec.username)
  if (!isScramVerifier(spec.verifier)) throw new ProvisionError('INVALID', 'this is not a SCRAM-SHA-256 verifier')
  try {
    return await session()
  } catch (error) {
    // https://www.postgresql.org/docs/current/errcodes-appendix.html: invalid_catalog_name
    if (sqlState(error) !== '3D000') throw error
    throw new ProvisionError('NOT_FOUND', 'the data has no database of that name', { cause: error })
  }
}

/** The verifier of a role that may log in, as `setUpUser` left it; undefined where there is no such role, or it has none. */
export async function readVerifier(
  instance: LabAddress,
  username: string,
  signal?: AbortSignal,
): Promise<string | undefined> {
  const { rows } = await withLabConnection(
    instance,
    LAB_DATABASE,
    (client) =>
      client.query<{ verifier: string | null }>(
        'select rolpassword as verifier from pg_authid where rolname = $1 and rolcanlogin',
        [username],
      ),
    { signal },
  )
  const verifier = rows[0]?.verifier ?? ''
  return isScramVerifier(verifier) ? verifier : undefined
}

/** Who may log in where the rules of access name the role of users alone; undefined where nobody has been made one yet. */
export async function readUser(instance: LabAddress, signal?: AbortSignal): Promise<string | undefined> {
  const { rows } = await withLabConnection(
    instance,
    LAB_DATABASE,
    (client) =>
      client.query<{ name: string }>(
        `select r.rolname as name from pg_auth_members m join pg_authid r on r.oid = m.member
         join pg_authid users on users.oid = m.roleid where users.rolname = $1 and r.rolcanlogin`,
        [USERS_ROLE],
      ),
    { signal },
  )
  return rows[0]?.name
}

/**
 * `setUpUser` in a session of the lab's that is open already, in that database or another one. The role is there for everybody when this
 * resolves.
 *
 * @returns whether the role that stands ready was taken
 */
export async function setUpUserIn(client: Client, spec: UserSpec, durability: Durability): Promise<UserRole> {
  if (await takeNextUser(client, spec, durability)) return 'taken'
  await makeUser(client, spec, durability)
  return 'made'
}

async function makeUser(
  client: Client,
  { username, verifier, database, allowSuperuser }: UserSpec,
  durability: Durability,
): Promise<void> {
  const { rows } = await client.query<{ superuser: boolean | null; superusers: string[]; major: number }>(
    `select (select rolsuper from pg_authid where rolname = $1) as superuser,
       array(select rolname::text from pg_authid where rolsuper and oid <> ${BOOTSTRAP_OID} and rolname <> $2) as superusers,
       current_setting('server_version_num')::int / 10000 as major`,
    [username, LAB_ROLE],
  )
  const superuser = rows[0]?.superuser ?? undefined
  if (superuser && !allowSuperuser) {
    throw new ProvisionError(
      'INVALID',
      "this user is a superuser in the data, who could run programs on the lab's machine",
      {
        hint: 'Ask for another user, or allow superusers in the configuration.',
      },
    )
  }
  const user = escapeIdentifier(username)
  const attributes = superuser ? SUPERUSER_ATTRIBUTES : USER_ATTRIBUTES
  // Of data that was brought in while superusers were allowed: what they own may not run as a superuser any more.
  const disarmed = allowSuperuser ? [] : (rows[0]?.superusers ?? [])
  const statements = [
    ...disarmed.map((role) => `alter role ${escapeIdentifier(role)} nosuperuser`),
    `${superuser === undefined ? 'create' : 'alter'} role ${user} login ${attributes} password ${escapeLiteral(verifier)}`,
    ...membershipStatements(username, database, rows[0]?.major ?? 0),
    ...quietStatements(username),
  ]
  // Of one query: all of it or nothing.
  await client.query([commitStatement(durability), ...statements].join(';\n'))
}
