import { type Client, DatabaseError, escapeIdentifier, escapeLiteral } from 'pg'
import { NEXT_USER_ROLE, OWNER_ROLE, USERS_ROLE } from './names.ts'
import { quietStatements } from './quiet.ts'
import { runAll, runEach } from './statements.ts'

/**
 * Makes the role that a clone's user is made of, once for all clones of a base: in a new session, the statements that make one from nothing
 * take five times as long as those that name it. It is there only where no other role is a superuser, so to find it says that, too. It alone
 * is a member of the role by which instances that were started ahead let their user in.
 */
export async function ensureNextUser(client: Client, database: string): Promise<void> {
  const [role, users] = [escapeIdentifier(NEXT_USER_ROLE), escapeIdentifier(USERS_ROLE)]
  const major = await majorOf(client)
  await runAll(client, [
    `${await verbFor(client, NEXT_USER_ROLE)} role ${role} nologin ${USER_ATTRIBUTES}`,
    `${await verbFor(client, USERS_ROLE)} role ${users} nologin noinherit nosuperuser noreplication nobypassrls nocreaterole nocreatedb`,
    ...membershipStatements(NEXT_USER_ROLE, database, major),
    ...quietStatements(NEXT_USER_ROLE),
  ])
  // Who was one in the clone that the data comes from.
  await runEach(
    client,
    `select format('revoke %I from %I cascade', $1::text, r.rolname) as statement
     from pg_auth_members m join pg_authid r on r.oid = m.member
     where m.roleid = $1::regrole and r.rolname <> $2`,
    [USERS_ROLE, NEXT_USER_ROLE],
  )
  await client.query(`grant ${users} to ${role} ${major >= 16 ? 'with inherit false, set false' : ''}`)
}

/** For a database that clones' users are to keep out of. */
export async function closeToNextUser(client: Client, database: string): Promise<void> {
  if ((await verbFor(client, NEXT_USER_ROLE)) === 'create') return
  const role = escapeIdentifier(NEXT_USER_ROLE)
  await client.query(`revoke all on database ${escapeIdentifier(database)} from ${role}`)
}

export async function dropNextUser(client: Client): Promise<void> {
  for (const name of [NEXT_USER_ROLE, USERS_ROLE]) {
    if ((await verbFor(client, name)) === 'create') continue
    await client.query(`drop owned by ${escapeIdentifier(name)}; drop role ${escapeIdentifier(name)}`)
  }
}

async function verbFor(client: Client, role: string): Promise<'create' | 'alter'> {
  const { rowCount } = await client.query('select from pg_authid where rolname = $1', [role])
  return rowCount === 0 ? 'create' : 'alter'
}

/** What a clone's user is, besides its name and its password. */
export const USER_ATTRIBUTES = `inherit createdb nosuperuser noreplication nobypassrls nocreaterole connection limit -1 valid until 'infinity'`

/** What lets a user do with a database what its owner may. */
export function membershipStatements(username: string, database: string, major: number): string[] {
  const user = escapeIdentifier(username)
  // A grant that the data made may have neither option.
  const options = major >= 16 ? 'with inherit true, set true' : ''
  return [
    `grant ${escapeIdentifier(OWNER_ROLE)} to ${user} ${options}`,
    `grant all on database ${escapeIdentifier(database)} to ${user}`,
  ]
}

/** When it is on disk that a clone has its user: as it is seen by all, or soon, for what something can be done meanwhile (see `flushUser`). */
export type Durability = 'now' | 'soon'

/** For the transaction that makes it so. */
export function commitStatement(durability: Durability): string {
  return `set local synchronous_commit = ${durability === 'now' ? 'on' : 'off'}`
}

/**
 * Takes to disk what was committed before: a transaction that has written to the log waits for it at its commit, and one that has not does not
 * (RecordTransactionCommit, xact.c). While it waits, a login can be tried.
 */
export async function flushUser(client: Client): Promise<void> {
  await client.query(`set local synchronous_commit = on; select pg_logical_emit_message(true, 'dblab', '')`)
}

/** https://www.postgresql.org/docs/current/errcodes-appendix.html: undefined_object, duplicate_object */
const NOT_THIS_WAY = ['42704', '42710']

/**
 * Gives the role its name and its password, in one round trip and one transaction.
 *
 * @returns false, with nothing changed, where the base has none, or the data has a role of that name
 */
export async function takeNextUser(
  client: Client,
  { username, verifier }: { username: string; verifier: string },
  durability: Durability,
): Promise<boolean> {
  const user = escapeIdentifier(username)
  const statements = [
    commitStatement(durability),
    `alter role ${escapeIdentifier(NEXT_USER_ROLE)} rename to ${user}`,
    `alter role ${user} login password ${escapeLiteral(verifier)}`,
  ]
  try {
    await client.query(statements.join(';\n'))
    return true
  } catch (error) {
    if (error instanceof DatabaseError && NOT_THIS_WAY.includes(error.code ?? '')) return false
    throw error
  }
}

/** The same, undone: what a session must look up for it, it knows from then on. @returns as `takeNextUser` */
export async function rehearseNextUser(client: Client): Promise<boolean> {
  await client.query('begin')
  try {
    return await takeNextUser(client, { username: 'dblab_rehearsal', verifier: REHEARSAL_VERIFIER }, 'soon')
  } finally {
    await client.query('rollback')
  }
}

/** Of no password that anybody has. */
const REHEARSAL_VERIFIER = `SCRAM-SHA-256$4096:${'A'.repeat(22)}==$${'A'.repeat(43)}=:${'A'.repeat(43)}=`

async function majorOf(client: Client): Promise<number> {
  const { rows } = await client.query<{ major: number }>(
    "select current_setting('server_version_num')::int / 10000 as major",
  )
  return rows[0]?.major ?? 0
}
