import { type Client, escapeIdentifier, escapeLiteral } from 'pg'
import { ProvisionError } from '../errors.ts'
import { type LabAddress, sqlState, withLabConnection } from './connect.ts'
import { disarmRoles, ensureOwnerRoles } from './disarm.ts'
import { handOver } from './hand-over.ts'
import { IMPORT_ROLE, LAB_DATABASE, LAB_ROLE, OWNER_ROLE, TABLESPACE_LINK } from './names.ts'
import { dropNextUser, ensureNextUser } from './next-user.ts'
import { quietLog } from './quiet.ts'
import { scramVerifier } from './scram.ts'

export interface BaseOptions {
  /** The main database: the one whose contents clones' users may alter. */
  database: string
  /** Superusers of the data stay superusers, for clones that are asked for under their names. */
  keepSuperusers?: boolean | undefined
  /** Who was one before any database was made ready (`superusersOf`): that makes all of them ordinary roles. As it is now, if left out. */
  superusers?: readonly number[] | undefined
  signal?: AbortSignal | undefined
}

/**
 * Makes a cluster one that clones can be handed out of: the lab has its own database in it, everything in the main one belongs to a
 * plain role that users are made members of, no other role is more than an ordinary one, none can log in, and users' functions fill no
 * log. Once, before the snapshot: a clone then needs nothing but its user. Harmless to do again. The import role is gone when this resolves.
 *
 * @throws ProvisionError INVALID when the data has the lab's own names, or lies elsewhere in part; NOT_FOUND when there is no such database
 */
export async function prepareBase(
  instance: LabAddress,
  { database, keepSuperusers = false, superusers, signal }: BaseOptions,
): Promise<void> {
  if (database === LAB_DATABASE) throw reservedDatabase()
  const options = { signal, timeoutMs: 0 }
  try {
    // Over another one: whoever owns a database may have closed it, to superusers too.
    await withLabConnection(instance, LAB_DATABASE, (client) => client.query(openDatabase(database)), options)
    await withLabConnection(
      instance,
      database,
      async (client) => {
        await refuseTablespaces(client)
        await ensureLabDatabase(client)
        await ensureOwnerRoles(client)
        // Told before they are disarmed: whose parts of extensions the lab takes over hangs on it.
        const were = superusers ?? (await superuserIds(client))
        await disarmRoles(client, keepSuperusers)
        await quietLog(client)
        await handOver(client, database, were)
        // Last: what it is granted is no part of what is taken from the data's own roles.
        if (keepSuperusers) await dropNextUser(client)
        else await ensureNextUser(client, database)
      },
      options,
    )
  } catch (error) {
    // https://www.postgresql.org/docs/current/errcodes-appendix.html: invalid_catalog_name
    if (sqlState(error) !== '3D000') throw error
    throw new ProvisionError('NOT_FOUND', 'the cluster has no database of that name', { cause: error })
  }
  await dropImportRole(instance, signal)
}

/** The ids of the roles that are superusers, by which `prepareBase` tells whose parts of extensions the lab takes over. */
export function superusersOf(instance: LabAddress, signal?: AbortSignal): Promise<number[]> {
  return withLabConnection(instance, LAB_DATABASE, (client) => superuserIds(client), { signal })
}

/** What lies outside of the volume would be no part of a snapshot: all clones would read and write the same files. */
async function refuseTablespaces(client: Client): Promise<void> {
  const { rows } = await client.query<{ name: string }>(
    `select spcname as name from pg_tablespace
     where spcname not in ('pg_default', 'pg_global') and pg_tablespace_location(oid) <> $1 || oid order by 1`,
    [TABLESPACE_LINK],
  )
  if (rows.length === 0) return
  const names = rows.map(({ name }) => JSON.stringify(name)).join(', ')
  throw new ProvisionError('INVALID', `the data has tablespaces, which lie outside of it: ${names}`, {
    hint: 'Make the dump with pg_dump --no-tablespaces, and take CREATE TABLESPACE out of it.',
  })
}

/**
 * Makes the role that an import runs as: a superuser, so that the import can do all that the source's dump asks for, and not the
 * bootstrap one, so that what it makes can be told from what came with the cluster. With a password it can log in where the instance's
 * rules allow it; without one it is for `SET ROLE`. `prepareBase` removes it.
 */
export async function createImportRole(instance: LabAddress, password?: string): Promise<void> {
  const login = password === undefined ? 'nologin' : `login password ${escapeLiteral(await scramVerifier(password))}`
  await withLabConnection(instance, LAB_DATABASE, async (client) => {
    const verb = (await roleExists(client, IMPORT_ROLE)) ? 'alter' : 'create'
    await client.query(`${verb} role ${escapeIdentifier(IMPORT_ROLE)} superuser ${login}`)
  })
}

/** Hands over what the import role has left, in every database, and removes it. Absent already is fine. */
export async function dropImportRole(instance: LabAddress, signal?: AbortSignal): Promise<void> {
  const options = { signal, timeoutMs: 0 }
  const databases = await withLabConnection(
    instance,
    LAB_DATABASE,
    async (client) => {
      if (!(await roleExists(client, IMPORT_ROLE))) return undefined
      // Shared things, which have no database, can be dealt with from any.
      const { rows } = await client.query<{ name: string }>(
        `select distinct coalesce(d.datname, $2) as name from pg_shdepend s left join pg_database d on d.oid = s.dbid
         where s.refclassid = 'pg_authid'::regclass and s.refobjid = $1::regrole`,
        [IMPORT_ROLE, LAB_DATABASE],
      )
      return rows.map(({ name }) => name)
    },
    options,
  )
  if (databases === undefined) return
  const role = escapeIdentifier(IMPORT_ROLE)
  for (const database of databases) {
    await withLabConnection(
      instance,
      database,
      async (client) => {
        await ensureOwnerRoles(client)
        // It was one when it made what it has, if it is none any more.
        const superusers = await superuserIds(client, IMPORT_ROLE)
        if (database !== LAB_DATABASE) await handOver(client, database, superusers)
        // Now that it owns nothing, this takes its grants and default privileges.
        await client.query(
          `reassign owned by ${role} to ${escapeIdentifier(OWNER_ROLE)}; drop owned by ${role} cascade`,
        )
      },
      options,
    )
  }
  await withLabConnection(instance, LAB_DATABASE, (client) => client.query(`drop role if exists ${role}`), options)
}

function openDatabase(name: string): string {
  return `alter database ${escapeIdentifier(name)} with allow_connections true connection limit -1 is_template false`
}

/** The lab's own database, closed to everybody else. */
async function ensureLabDatabase(client: Client): Promise<void> {
  const { rows } = await client.query<{ owner: string }>(
    'select r.rolname as owner from pg_database d join pg_authid r on r.oid = d.datdba where d.datname = $1',
    [LAB_DATABASE],
  )
  if (rows[0] !== undefined && rows[0].owner !== LAB_ROLE) throw reservedDatabase()
  const name = escapeIdentifier(LAB_DATABASE)
  // template0: somebody may be in template1, or have put something there.
  if (rows[0] === undefined)
    await client.query(`create database ${name} owner ${escapeIdentifier(LAB_ROLE)} template template0`)
  await client.query(`revoke all on database ${name} from public`)
}

async function roleExists(client: Client, name: string): Promise<boolean> {
  const { rowCount } = await client.query('select from pg_authid where rolname = $1', [name])
  return rowCount === 1
}

function reservedDatabase(): ProvisionError {
  return new ProvisionError('INVALID', `${LAB_DATABASE} is the lab's own database, and can't be one of the data's`, {
    hint: 'Rename the database before it is brought in.',
  })
}

/** @param also counts as one, whatever it is now */
async function superuserIds(client: Client, also = ''): Promise<number[]> {
  const { rows } = await client.query<{ oid: number }>('select oid from pg_authid where rolsuper or rolname = $1', [
    also,
  ])
  return rows.map(({ oid }) => oid)
}
