import { IMPORT_ROLE, type Instance, LAB_DATABASE, ProvisionError, sqlState, withLabConnection } from '@dblab/provision'
import type { Client } from 'pg'
import type { DumpPlan } from './dump.ts'

/** What the import is about to meet. */
export interface Target {
  serverMajor: number
  /** There already, and empty: only a fresh cluster's own `postgres`. */
  databaseExists: boolean
}

interface TargetOptions {
  embedded?: boolean
  signal?: AbortSignal | undefined
}

/**
 * Compares what a dump needs with what the cluster has.
 *
 * @throws ProvisionError INVALID naming extensions that are not installed or parameters that the server lacks; ALREADY_EXISTS for the database
 */
export function checkTarget(instance: Instance, plan: DumpPlan, options: TargetOptions): Promise<Target> {
  const { signal } = options
  return withLabConnection(instance, LAB_DATABASE, (client) => compare(client, instance, plan, options), { signal })
}

async function compare(client: Client, instance: Instance, plan: DumpPlan, options: TargetOptions): Promise<Target> {
  const { embedded, signal } = options
  const version = await one<{ value: string }>(client, `SELECT current_setting('server_version_num') AS value`)
  const serverMajor = Math.trunc(Number(version?.value) / 10_000)
  await checkExtensions(client, plan, { serverMajor, embedded })
  await checkParameters(client, plan, serverMajor)
  const existing = await one(client, 'SELECT 1 AS value FROM pg_database WHERE datname = $1', [plan.database])
  if (!existing) return { serverMajor, databaseExists: false }
  if (plan.database === 'postgres' && !plan.createsDatabase && (await isEmpty(instance, signal))) {
    return { serverMajor, databaseExists: true }
  }
  throw new ProvisionError('ALREADY_EXISTS', `there is a database ${plan.database} in the cluster already`, {
    hint: 'An import goes into a fresh cluster; a dump with the name of one of its own databases is to be made under another.',
  })
}

async function checkExtensions(
  client: Client,
  plan: DumpPlan,
  { serverMajor, embedded }: { serverMajor: number; embedded: boolean | undefined },
): Promise<void> {
  const { rows } = await client.query<{ name: string }>('SELECT name FROM pg_available_extensions')
  const available = new Set(rows.map((row) => row.name))
  const missing = [...plan.facts.extensions].filter((name) => !available.has(name)).sort()
  if (missing.length === 0) return
  const install = embedded
    ? "The PostgreSQL that comes with the lab can't be extended. Install PostgreSQL and the extensions from the system's packages (on Debian postgresql and postgresql-VERSION-…), and name it in the configuration: postgres.binDir (/usr/lib/postgresql/VERSION/bin), and postgres.version where that is set"
    : `Install them for the server that the lab runs (on Debian packages named postgresql-${serverMajor}-…)`
  throw new ProvisionError(
    'INVALID',
    `the dump needs extensions that this PostgreSQL ${serverMajor} lacks: ${missing.join(', ')}`,
    {
      hint: `${install}, or make a dump without them: pg_dump --exclude-extension, or --schema for the wanted schemas.`,
    },
  )
}

/** pg_dump sets parameters of its own version: 17 brought transaction_timeout, on which every older server stops. */
async function checkParameters(client: Client, plan: DumpPlan, serverMajor: number): Promise<void> {
  const { rows } = await client.query<{ name: string }>('SELECT lower(name) AS name FROM pg_settings')
  const known = new Set(rows.map((row) => row.name))
  // A name with a dot is made by setting it.
  const missing = [...plan.facts.parameters].filter((name) => !known.has(name) && !name.includes('.')).sort()
  if (missing.length === 0) return
  throw new ProvisionError(
    'INVALID',
    `the dump sets ${missing.join(', ')}, which PostgreSQL ${serverMajor} does not know`,
    {
      hint: `It comes from a newer version. Run the lab with that version, or make the dump and restore it with the client programs of version ${serverMajor}.`,
    },
  )
}

function isEmpty(instance: Instance, signal?: AbortSignal): Promise<boolean> {
  // 16384 is FirstNormalObjectId: what has a lower one came with the cluster (src/include/access/transam.h).
  const work = (client: Client) => one(client, 'SELECT 1 AS value FROM pg_class WHERE oid >= 16384 LIMIT 1')
  return withLabConnection(instance, 'postgres', async (client) => !(await work(client)), { signal })
}

/** The dump's roles that the cluster lacks, made without login. Names that begin with `pg_` can't be made: a restore that needs one fails and says so. */
export async function createRoles(instance: Instance, plan: DumpPlan, signal?: AbortSignal): Promise<string[]> {
  const { owners, otherRoles, createdRoles } = plan.facts
  const wanted = new Set(
    [...owners, ...otherRoles].filter(
      (name) => !createdRoles.has(name) && !name.startsWith('pg_') && name !== IMPORT_ROLE,
    ),
  )
  return withLabConnection(
    instance,
    LAB_DATABASE,
    async (client) => {
      const { rows } = await client.query<{ rolname: string }>('SELECT rolname FROM pg_roles')
      const made = [...wanted].filter((name) => !rows.some((row) => row.rolname === name)).sort()
      for (const name of made) await client.query(`CREATE ROLE ${client.escapeIdentifier(name)} NOLOGIN`)
      return made
    },
    { signal },
  )
}

/**
 * Lets roles be superusers, as they are where the dump comes from: what it gives to them, or has them do, only a superuser may have or do.
 *
 * @returns what takes it from them again
 */
export async function lendSuperuser(instance: Instance, names: Iterable<string>): Promise<() => Promise<void>> {
  const { rows } = await withLabConnection(instance, LAB_DATABASE, (client) =>
    client.query<{ name: string }>('SELECT rolname AS name FROM pg_roles WHERE rolname = ANY ($1) AND NOT rolsuper', [
      [...names],
    ]),
  )
  const change = (power: 'SUPERUSER' | 'NOSUPERUSER') =>
    withLabConnection(instance, LAB_DATABASE, async (client) => {
      for (const { name } of rows) await client.query(`ALTER ROLE ${client.escapeIdentifier(name)} ${power}`)
    })
  await change('SUPERUSER')
  return () => change('NOSUPERUSER')
}

/**
 * Makes the database as the dump describes it. Where this machine lacks its locale, with the cluster's own: the result is then a note for the user,
 * since text sorts in another order.
 */
export async function createDatabase(
  instance: Instance,
  plan: DumpPlan,
  target: Target & { schemas: readonly string[] },
  signal?: AbortSignal,
): Promise<string | undefined> {
  const make = async (client: Client): Promise<string | undefined> => {
    const statement = plan.facts.createDatabase
    const name = client.escapeIdentifier(plan.database)
    const own = statement !== undefined && plan.facts.createdDatabases.has(plan.database) && !target.databaseExists
    const refusal = own ? await tryStatement(client, statement) : undefined
    if (!target.databaseExists && (!own || refusal !== undefined)) {
      await client.query(`CREATE DATABASE ${name} TEMPLATE template0 ${encodingOf(client, plan, target)}`)
    }
    await client.query(`ALTER DATABASE ${name} OWNER TO ${client.escapeIdentifier(IMPORT_ROLE)}`)
    return refusal && `the database has this cluster's own locale, not its source's: ${refusal}`
  }
  const note = await withLabConnection(instance, LAB_DATABASE, make, { signal })
  const { createsPublic, drops } = plan.facts
  if (createsPublic && !drops && !target.databaseExists) {
    await withLabConnection(instance, plan.database, (client) => client.query('DROP SCHEMA public'), { signal })
  }
  await withLabConnection(
    instance,
    plan.database,
    async (client) => {
      for (const schema of target.schemas) {
        await client.query(`CREATE SCHEMA ${client.escapeIdentifier(schema)} AUTHORIZATION ${IMPORT_ROLE}`)
      }
    },
    { signal },
  )
  return note
}

/** The server's reason where it refuses the statement for its contents. */
async function tryStatement(client: Client, statement: string): Promise<string | undefined> {
  try {
    await client.query(statement)
    return undefined
  } catch (error) {
    // https://www.postgresql.org/docs/current/errcodes-appendix.html: a locale, a provider, a tablespace or an option that isn't here.
    const contents = ['42809', '22023', '0A000', '42704', '42601']
    if (error instanceof Error && contents.includes(sqlState(error) ?? '')) return error.message
    throw error
  }
}

/** SQL_ASCII takes bytes as they are, which no other encoding does, and goes with locale C alone. */
function encodingOf(client: Client, plan: DumpPlan, { serverMajor }: Target): string {
  if (plan.facts.clientEncoding?.toUpperCase() !== 'SQL_ASCII') return `ENCODING ${client.escapeLiteral('UTF8')}`
  const provider = serverMajor >= 15 ? 'LOCALE_PROVIDER libc' : ''
  return `ENCODING ${client.escapeLiteral('SQL_ASCII')} ${provider} LOCALE ${client.escapeLiteral('C')}`
}

async function one<Row extends object>(client: Client, sql: string, values: string[] = []): Promise<Row | undefined> {
  const { rows } = await client.query<Row>(sql, values)
  return rows[0]
}
