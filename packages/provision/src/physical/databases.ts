import { escapeIdentifier } from 'pg'
import { isProvisionError, ProvisionError } from '../errors.ts'
import { type LabAddress, withLabConnection } from '../postgres/connect.ts'
import { LAB_DATABASE, LAB_ROLE } from '../postgres/names.ts'
import { closeToNextUser } from '../postgres/next-user.ts'
import { runEach } from '../postgres/statements.ts'

export interface DatabaseOfData {
  name: string
  isTemplate: boolean
  isOpen: boolean
}

/**
 * Every database that a clone's user could come into, or make a copy of, and then be in: closed ones too, whose owner can open them, and
 * template1, of whose functions each new database has copies. Not template0, in which nothing is but what initdb has put there.
 */
export async function databasesOf(instance: LabAddress): Promise<DatabaseOfData[]> {
  const { rows } = await withLabConnection(instance, LAB_DATABASE, (client) =>
    // Nobody can connect to what a DROP DATABASE that was cut off has left (-2, DATCONNLIMIT_INVALID_DB in pg_database.h).
    client.query<DatabaseOfData>(
      `select datname as name, datistemplate as "isTemplate", datallowconn as "isOpen" from pg_database
       where datconnlimit <> -2 and datname <> $1 and not (datname = 'template0' and not datallowconn) order by datname`,
      [LAB_DATABASE],
    ),
  )
  return rows
}

/**
 * Making them ready has opened all of them, as no templates. A template is the lab's from then on: what a user could put into it would be in
 * each database that is made later.
 */
export async function restoreFlags(instance: LabAddress, databases: readonly DatabaseOfData[]): Promise<void> {
  const there = (await databasesOf(instance)).map(({ name }) => name)
  const statements = databases
    .filter(({ name, isTemplate, isOpen }) => there.includes(name) && (isTemplate || !isOpen))
    .flatMap(({ name, isTemplate, isOpen }) => [
      `alter database ${escapeIdentifier(name)} with is_template ${isTemplate} allow_connections ${isOpen}`,
      ...(isTemplate ? closeTemplate(escapeIdentifier(name)) : []),
    ])
  await withLabConnection(instance, LAB_DATABASE, async (client) => {
    for (const statement of statements) await client.query(statement)
    for (const { name, isTemplate } of databases) {
      if (isTemplate && there.includes(name)) await closeToNextUser(client, name)
    }
  })
}

function closeTemplate(database: string): string[] {
  return [
    `alter database ${database} owner to ${escapeIdentifier(LAB_ROLE)}`,
    `revoke all on database ${database} from public`,
  ]
}

/** Libraries that sessions load as they begin, by settings of databases and roles: of the source's machine, and not of this one. */
export async function resetPreloads(instance: LabAddress): Promise<void> {
  await withLabConnection(instance, LAB_DATABASE, (client) => runEach(client, PRELOADS))
}

const PRELOADS = `
  select format('alter %s reset %s', case
    when s.setrole = 0 and s.setdatabase = 0 then 'role all'
    when s.setrole = 0 then format('database %I', d.datname)
    when s.setdatabase = 0 then format('role %I', r.rolname)
    else format('role %I in database %I', r.rolname, d.datname) end, name) as statement
  from pg_db_role_setting s
  left join pg_database d on d.oid = s.setdatabase
  left join pg_authid r on r.oid = s.setrole
  cross join unnest(array['session_preload_libraries', 'local_preload_libraries']) name
  where exists (select from unnest(s.setconfig) setting where lower(split_part(setting, '=', 1)) = name)`

/**
 * Work with databases that the cluster has just listed, and which are then not found: a name comes with a connection as the bytes that it is
 * in UTF-8, and is looked up as such, while the cluster has those of another encoding (postinit.c).
 */
export async function noticingNames<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    if (!isProvisionError(error, 'NOT_FOUND')) throw error
    throw new ProvisionError('INVALID', 'the data has a database whose name is in another encoding than UTF-8', {
      cause: error,
      hint: 'Rename it on the source to a name in ASCII, and take the copy again.',
    })
  }
}
