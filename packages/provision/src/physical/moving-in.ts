import { escapeIdentifier } from 'pg'
import { ProvisionError } from '../errors.ts'
import { EXTENSION_ROLE, IMPORT_ROLE, LAB_DATABASE, LAB_ROLE, OWNER_ROLE } from '../postgres/names.ts'
import type { PostgresRuntime } from '../postgres/runtime.ts'

/** A transaction that was prepared on the source and neither committed nor rolled back when the copy was taken. */
export interface PreparedTransaction {
  database: string
  gid: string
}

export interface MovedIn {
  /** The bootstrap superuser's name (oid 10), `postgres` nearly everywhere. */
  superuser: string
  /** They held locks, and are rolled back: nobody here would ever have decided. */
  rolledBack: PreparedTransaction[]
}

interface Facts {
  superuser: string
  roles: string[]
  databases: string[]
  prepared: Array<PreparedTransaction & { bytes: string }>
}

const RESERVED_ROLES = [LAB_ROLE, OWNER_ROLE, EXTENSION_ROLE, IMPORT_ROLE]

const strings = (names: readonly string[]) => names.map((name) => `'${name}'`).join(', ')

/** One row of one column, in hexadecimal digits, which no name can break out of. */
const FACTS = `select encode(convert_to(json_build_object(
  'superuser', (select rolname from pg_authid where oid = 10),
  'roles', array(select rolname::text from pg_authid where rolname in (${strings(RESERVED_ROLES)}) order by 1),
  'databases', array(select datname::text from pg_database where datname in (${strings([LAB_DATABASE])})),
  'prepared', coalesce((select json_agg(json_build_object('database', database, 'gid', gid,
    'bytes', encode(convert_to(gid, getdatabaseencoding()), 'hex'))) from pg_prepared_xacts), '[]')
)::text, 'UTF8'), 'hex') as facts`.replaceAll('\n', ' ')

/**
 * Makes the lab's role and database in a cluster that came from elsewhere, and ends what its source has left undecided. All by a server of
 * a single user, on which nothing runs but these statements: by a connection, settings and event triggers of the data would have a
 * word, and which role is the superuser would have to be known before.
 *
 * @throws ProvisionError INVALID where the data has roles or a database of the lab's names
 */
export async function moveIn(
  runtime: PostgresRuntime,
  dataDir: string,
  settings: Readonly<Record<string, string>>,
  signal?: AbortSignal,
): Promise<MovedIn> {
  const inDatabase = (database: string, statements: readonly string[]) =>
    runtime.runSingleUser(dataDir, { database, statements, settings }, signal)
  const { superuser, roles, databases, prepared } = readFacts(await inDatabase('template1', [FACTS]))
  refuseReserved('roles', roles)
  refuseReserved('databases', databases)
  for (const [database, all] of Map.groupBy(prepared, (transaction) => transaction.database)) {
    await inDatabase(
      database,
      all.map(({ bytes }) => `rollback prepared E'${bytes.replace(/../g, '\\x$&')}'`),
    )
  }
  const [role, name] = [escapeIdentifier(LAB_ROLE), escapeIdentifier(LAB_DATABASE)]
  await inDatabase('template1', [
    `create role ${role} login superuser createdb createrole replication bypassrls`,
    `create database ${name} owner ${role} template template0`,
    `revoke all on database ${name} from public`,
  ])
  return { superuser, rolledBack: prepared.map(({ database, gid }) => ({ database, gid })) }
}

/** As a server of a single user shows a value (printtup.c, debugtup). */
function readFacts(output: string): Facts {
  const digits = /^\t 1: facts = "([0-9a-f]*)"/m.exec(output)?.[1]
  if (digits === undefined) throw new Error('a server of a single user has answered in another form')
  const facts: Facts = JSON.parse(Buffer.from(digits, 'hex').toString())
  return facts
}

function refuseReserved(what: 'roles' | 'databases', names: readonly string[]): void {
  if (names.length === 0) return
  throw new ProvisionError('INVALID', `the data has ${what} whose names are the lab's own: ${names.join(', ')}`, {
    hint: 'Rename them on the source, and take the copy again. A cluster of a lab is no source for one.',
  })
}
