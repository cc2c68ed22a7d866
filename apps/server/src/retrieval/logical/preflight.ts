import { ProvisionError, run, sqlState } from '@dblab/provision'
import { type Client, escapeIdentifier } from 'pg'
import type { ForeignKey } from '../dump/archive-listing.ts'
import { type PlanSettings, readPlanSettings } from '../live/plan-settings.ts'
import { type SourceLogin, withSource } from '../live/session.ts'
import type { TableSizes } from '../runs/table-progress.ts'
import { type Condition, chosen, OWN, USER_SCHEMAS } from './patterns.ts'
import { hasLargeObjects, isWhole, type Selection } from './selection.ts'
import { extensionsChosen, foreignKeysLeftOut, schemasToMake } from './selection-needs.ts'

/** What is known of a database before it is dumped. */
export interface DatabaseFacts {
  name: string
  serverMajor: number
  /** Files of what is wanted of it, in bytes. */
  sizeBytes: number
  /** Those that come with their rows. */
  tables: TableSizes
  extensions: string[]
  /** Before anything is restored. */
  schemasToMake: string[]
  /** That what is chosen would not fulfil. */
  foreignKeysLeftOut: ForeignKey[]
  /** That something in it belongs to, or is granted to. */
  roles: string[]
  superusers: string[]
  /** Of its server. */
  planSettings: PlanSettings
}

/** https://www.postgresql.org/docs/current/errcodes-appendix.html */
const LOCK_NOT_AVAILABLE = '55P03'

/** Older ones have no tcp_user_timeout, and would hold a snapshot for a lab that is cut off. */
const OLDEST_MAJOR = 12

/**
 * Looks at a database of a source: whether the role may read all that is wanted, whether this machine has its locales, how large it is.
 *
 * @param anyLocale a locale that this machine lacks is no reason to refuse
 * @throws ProvisionError INVALID with what to run; InterruptedError
 */
export async function examine(
  login: SourceLogin,
  database: string,
  selection: Selection,
  { labMajor, anyLocale }: { labMajor: number; anyLocale: boolean },
): Promise<DatabaseFacts> {
  return withSource(login, database, async (client) => {
    const serverMajor = Math.trunc(Number(await value(client, 'SHOW server_version_num')) / 10_000)
    requireVersion(serverMajor, labMajor)
    const choice = chosen(selection)
    const { dumped, withRows } = choice
    await requireRights(client, { database, serverMajor, user: login.address.user, dumped, withRows })
    const extensions = await extensionsChosen(client, database, selection, choice)
    if (hasLargeObjects(selection)) await requireLargeObjects(client, database, login.address.user)
    if (!anyLocale) await requireLocales(client, database, serverMajor)
    const { tables, bytes } = await tableSizes(client, withRows)
    return {
      name: database,
      serverMajor,
      sizeBytes: isWhole(selection)
        ? Number(await value(client, 'SELECT pg_database_size(current_database())'))
        : bytes,
      tables,
      schemasToMake: await schemasToMake(client, selection, choice),
      foreignKeysLeftOut: await foreignKeysLeftOut(client, selection, choice),
      roles: await texts(client, ROLES),
      superusers: await texts(client, 'SELECT rolname FROM pg_roles WHERE rolsuper'),
      extensions,
      planSettings: await readPlanSettings(client),
    }
  })
}

/** Large objects' among them, of which a dump's script says nothing. */
const ROLES = `
  SELECT DISTINCT r.rolname FROM pg_shdepend s JOIN pg_roles r ON r.oid = s.refobjid JOIN pg_database d ON d.datname = current_database()
  WHERE s.refclassid = 'pg_authid'::regclass AND (s.dbid = d.oid OR (s.classid = 'pg_database'::regclass AND s.objid = d.oid))`

/** As the catalogue estimates them, since asking for the files waits for whoever alters a table; `bytes` are those of all, with indexes. */
async function tableSizes(client: Client, withRows: Condition): Promise<{ tables: TableSizes; bytes: number }> {
  const { rows } = await client.query<[string, string, string, string]>({
    text: `SELECT n.nspname || '.' || c.relname, pages * block, (pages + index_pages) * block, c.oid::text
           FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace LEFT JOIN pg_class t ON t.oid = c.reltoastrelid
           CROSS JOIN LATERAL (
             SELECT current_setting('block_size')::bigint AS block, c.relpages + coalesce(t.relpages, 0) AS pages,
               (SELECT coalesce(sum(x.relpages), 0) FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid WHERE i.indrelid = c.oid) AS index_pages
           ) size
           WHERE c.relkind = 'r' AND c.relpersistence <> 't' AND ${USER_SCHEMAS} AND ${OWN} AND ${withRows.sql}`,
    values: withRows.values,
    rowMode: 'array',
  })
  // Nobody has vacuumed or analysed those.
  const unknown = rows.filter(([, bytes]) => Number(bytes) === 0).map(([, , , oid]) => oid)
  const measured = await measure(client, unknown)
  const bytesOf = (oid: string, estimated: string): number => measured.get(oid) ?? Number(estimated)
  return {
    tables: new Map(rows.map(([name, bytes, , oid]) => [name, bytesOf(oid, bytes)])),
    bytes: rows.reduce((sum, [, , bytes, oid]) => sum + bytesOf(oid, bytes), 0),
  }
}

/** By their files, in bytes, with indexes. None of them where somebody alters one just now: that is not waited for. */
async function measure(client: Client, oids: readonly string[]): Promise<Map<string, number>> {
  if (oids.length === 0) return new Map()
  await client.query(`BEGIN; SET LOCAL lock_timeout = '500ms'`)
  const { rows } = await client
    .query<{ oid: string; bytes: string | null }>(
      'SELECT oid, pg_total_relation_size(oid::regclass) AS bytes FROM unnest($1::oid[]) oid',
      [oids],
    )
    .catch((error: unknown) => {
      if (sqlState(error) === LOCK_NOT_AVAILABLE) return { rows: [] }
      // With it the session goes, and its transaction: to end that here could fail in its turn, and hide why.
      throw error
    })
  await client.query('ROLLBACK')
  return new Map(rows.filter(({ bytes }) => bytes !== null).map(({ oid, bytes }) => [String(oid), Number(bytes)]))
}

/** All that can be connected to, for those who want them all. */
export function listDatabases(login: SourceLogin): Promise<string[]> {
  return withSource(login, login.address.database, (client) =>
    texts(
      client,
      `SELECT datname FROM pg_database WHERE datallowconn AND NOT datistemplate AND datname <> 'postgres' ORDER BY 1`,
    ),
  )
}

function requireVersion(serverMajor: number, labMajor: number): void {
  if (serverMajor < OLDEST_MAJOR) {
    throw invalid(
      `the source is PostgreSQL ${serverMajor}, older than ${OLDEST_MAJOR}`,
      'Make a dump by hand, and import that: npm start -- --import FILE.',
    )
  }
  if (serverMajor <= labMajor) return
  throw invalid(
    `the source is PostgreSQL ${serverMajor}, newer than the lab's ${labMajor}, which could not restore its dumps`,
    `Run the lab with PostgreSQL ${serverMajor} or later: postgres.version, and postgres.binDir where npm's is older; then start a new lab.`,
  )
}

interface Rights {
  database: string
  serverMajor: number
  user: string
  /** pg_dump locks them all, for which it needs to read them, those whose rows are left out too. */
  dumped: Condition
  withRows: Condition
}

async function requireRights(client: Client, { database, serverMajor, user, dumped, withRows }: Rights): Promise<void> {
  const closed = await texts(
    client,
    // A table's sequence comes with it; an identity column's with nothing else.
    `WITH dumped AS (SELECT c.oid FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
       WHERE c.relkind IN ('r', 'p', 'S') AND c.relpersistence <> 't' AND ${USER_SCHEMAS} AND ${OWN} AND ${dumped.sql})
     SELECT format('%I.%I', sn.nspname, s.relname) FROM pg_class s JOIN pg_namespace sn ON sn.oid = s.relnamespace
     LEFT JOIN pg_depend o ON s.relkind = 'S' AND o.classid = 'pg_class'::regclass AND o.objid = s.oid
       AND o.refclassid = 'pg_class'::regclass AND o.deptype IN ('a', 'i')
     WHERE (o.refobjid IN (SELECT oid FROM dumped) OR o.deptype IS DISTINCT FROM 'i' AND s.oid IN (SELECT oid FROM dumped))
       AND NOT (has_schema_privilege(sn.oid, 'USAGE') AND CASE s.relkind
         WHEN 'S' THEN has_sequence_privilege(s.oid, 'SELECT') ELSE has_table_privilege(s.oid, 'SELECT') END)
     ORDER BY 1`,
    dumped.values,
  )
  if (closed.length > 0) {
    const grant =
      serverMajor >= 14
        ? `GRANT pg_read_all_data TO ${escapeIdentifier(user)}`
        : `GRANT USAGE ON SCHEMA … TO ${escapeIdentifier(user)}; GRANT SELECT ON ALL TABLES IN SCHEMA … TO ${escapeIdentifier(user)}; GRANT SELECT ON ALL SEQUENCES IN SCHEMA … TO ${escapeIdentifier(user)}`
    throw invalid(
      `the role may not read ${closed.length} tables or sequences of ${JSON.stringify(database)}: ${listed(closed)}`,
      `Run there, as a superuser or their owner: ${grant}. Or leave them out: excludeTables, excludeSchemas.`,
    )
  }
  const filtered = await texts(
    client,
    `SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE c.relkind IN ('r', 'p') AND ${USER_SCHEMAS} AND ${OWN} AND row_security_active(c.oid) AND ${withRows.sql} ORDER BY 1`,
    withRows.values,
  )
  if (filtered.length > 0) {
    throw invalid(
      `row security hides rows of ${JSON.stringify(database)} from the role: ${listed(filtered)}`,
      `Run there, as a superuser: ALTER ROLE ${escapeIdentifier(user)} BYPASSRLS. Or leave them out: excludeTables, excludeTableData.`,
    )
  }
}

/** No role reads them all but a superuser: pg_read_all_data is about tables. */
async function requireLargeObjects(client: Client, database: string, user: string): Promise<void> {
  const closed = Number(
    await value(
      client,
      `SELECT count(*) FROM pg_largeobject_metadata o
       WHERE current_setting('lo_compat_privileges') = 'off' AND NOT pg_has_role(o.lomowner, 'USAGE') AND NOT EXISTS (
         SELECT FROM aclexplode(o.lomacl) a WHERE a.privilege_type = 'SELECT' AND (a.grantee = 0 OR pg_has_role(a.grantee, 'USAGE')))
         AND NOT (SELECT rolsuper FROM pg_roles WHERE rolname = current_user)`,
    ),
  )
  if (closed === 0) return
  throw invalid(
    `the role may not read ${closed} large objects of ${JSON.stringify(database)}`,
    `Run there, as a superuser, for each of them: GRANT SELECT ON LARGE OBJECT … TO ${escapeIdentifier(user)}. Or leave them out: excludeLargeObjects: true.`,
  )
}

/** Text sorts, and indexes work, by the machine's own locales. ICU's come with the server. */
async function requireLocales(client: Client, database: string, serverMajor: number): Promise<void> {
  const provider = serverMajor >= 15 ? `AND datlocprovider = 'c'` : ''
  const wanted = await texts(
    client,
    `SELECT unnest(ARRAY[datcollate::text, datctype::text]) FROM pg_database WHERE datname = current_database() ${provider}
     UNION SELECT unnest(ARRAY[collcollate::text, collctype::text]) FROM pg_collation WHERE collprovider = 'c' AND oid >= 16384`,
  )
  const here = new Set((await run(['locale', '-a'])).stdout.split('\n').map(localeKey))
  const missing = [...new Set(wanted)].filter(
    (name) => name !== null && name !== '' && !isBuiltIn(name) && !here.has(localeKey(name)),
  )
  if (missing.length === 0) return
  throw invalid(
    `${JSON.stringify(database)} sorts by a locale that this machine lacks: ${missing.join(', ')}`,
    `Make it here: on Debian and Ubuntu, install the package locales and run localedef -i LANGUAGE_COUNTRY -f UTF-8 ${missing[0]}. With anyLocale: true the lab's own is taken, which sorts in another order.`,
  )
}

function isBuiltIn(locale: string): boolean {
  return /^(C|POSIX|C\.UTF-?8)$/i.test(locale)
}

/** `de_DE.UTF-8` and `de_DE.utf8` are one. */
function localeKey(name: string): string {
  const [language = '', codeset = ''] = name.trim().split('.')
  return `${language}.${codeset.toLowerCase().replaceAll('-', '')}`
}

const LISTED = 10

function listed(names: readonly string[]): string {
  const more = names.length - LISTED
  return `${names.slice(0, LISTED).join(', ')}${more > 0 ? ` and ${more} more` : ''}`
}

async function value(client: Client, sql: string): Promise<unknown> {
  const { rows } = await client.query<unknown[]>({ text: sql, rowMode: 'array' })
  return rows[0]?.[0]
}

async function texts(client: Client, sql: string, values: string[] = []): Promise<string[]> {
  const { rows } = await client.query<[string]>({ text: sql, values, rowMode: 'array' })
  return rows.map(([text]) => text)
}

function invalid(message: string, hint: string): ProvisionError {
  return new ProvisionError('INVALID', message, { hint })
}
