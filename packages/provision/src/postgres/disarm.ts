import { type Client, escapeIdentifier } from 'pg'
import { EXTENSION_ROLE, LAB_ROLE, OWNER_ROLE } from './names.ts'
import { runAll, runEach } from './statements.ts'

/** Predefined roles that reach out of the database: to files and programs of the machine, and to other servers. */
const REACHING_OUT = [
  'pg_execute_server_program',
  'pg_read_server_files',
  'pg_write_server_files',
  'pg_create_subscription',
] as const

/**
 * Extensions whose functions trust whoever may call them with files of the server, or let libpq, in a connection of the caller's
 * making, write and read them in its account (`sslkeylogfile`, `passfile`).
 */
const TRUSTING_EXTENSIONS = ['adminpack', 'dblink'] as const

/**
 * SQL: that a function is of their libraries, which only a superuser can have said. To be a part of their extension says less: whoever
 * owns the extension can make any function that.
 */
export function inTrustingLibrary(alias: string): string {
  return `coalesce(${alias}.probin ~ '(^|/)(${TRUSTING_EXTENSIONS.join('|')})(\\.[a-z]+)?$', false)`
}

/** Of `pg_authid`, the one that initdb made (BOOTSTRAP_SUPERUSERID). It can't lose SUPERUSER. */
export const BOOTSTRAP_OID = 10

/**
 * Takes from every role but the lab's what an ordinary user of a database does not have: superuser and its like, the server's files and
 * programs, settings of the server. Nobody can log in any more, and no password of the source stays. What the data's roles may do with
 * the data is not touched. Event triggers are switched off.
 *
 * @param keepSuperusers leaves superusers what they are, without a login; nobody else can become one of them
 */
export async function disarmRoles(client: Client, keepSuperusers: boolean): Promise<void> {
  // First: those that are ALWAYS on would fire for the revocations below.
  await runEach(client, EVENT_TRIGGERS_OFF)
  await runAll(client, await roleStatements(client, keepSuperusers))
  await runAll(client, await membershipStatements(client))
  await runEach(client, FUNCTION_GRANTS, [LAB_ROLE])
  await runEach(client, TRUSTING_FUNCTION_GRANTS, [LAB_ROLE, TRUSTING_EXTENSIONS])
  if (await hasCatalog(client, 'pg_parameter_acl')) await runEach(client, PARAMETER_GRANTS, [LAB_ROLE])
  await runEach(client, SCHEMA_GRANTS, [LAB_ROLE])
}

/**
 * Takes from roles that are no superusers what a function of theirs with SECURITY DEFINER could reach out with, or make them able to: until
 * PostgreSQL 15, whoever has CREATEROLE can make anybody a member of any role that is no superuser.
 * https://www.postgresql.org/docs/15/role-attributes.html
 */
export async function disarmOrdinaryRoles(client: Client): Promise<void> {
  await runEach(
    client,
    `select format('alter role %I nocreaterole', rolname) as statement from pg_authid where rolcreaterole and not rolsuper`,
  )
  await runAll(client, await membershipStatements(client))
}

async function roleStatements(client: Client, keepSuperusers: boolean): Promise<string[]> {
  const { rows } = await client.query<{ name: string; bootstrap: boolean; superuser: boolean }>(
    `select rolname as name, oid = ${BOOTSTRAP_OID} as bootstrap, rolsuper as superuser from pg_authid
     where rolname !~ '^pg_' and rolname <> $1
       and (rolcanlogin or rolpassword is not null or oid <> ${BOOTSTRAP_OID}
         and (rolsuper or rolreplication or rolbypassrls or rolcreaterole))`,
    [LAB_ROLE],
  )
  return rows.map(({ name, bootstrap, superuser }) => {
    const powers =
      bootstrap || (superuser && keepSuperusers) ? '' : 'nosuperuser noreplication nobypassrls nocreaterole'
    return `alter role ${escapeIdentifier(name)} nologin password null ${powers}`
  })
}

/** Memberships in the roles above, in the one of extensions' parts, and in superusers, whom a member could become. */
async function membershipStatements(client: Client): Promise<string[]> {
  const { rows } = await client.query<{ role: string; member: string; grantor: string | null; major: number }>(
    `select r.rolname as role, u.rolname as member, g.rolname as grantor,
       current_setting('server_version_num')::int / 10000 as major
     from pg_auth_members m
     join pg_authid r on r.oid = m.roleid
     join pg_authid u on u.oid = m.member
     left join pg_authid g on g.oid = m.grantor
     where (r.rolsuper or r.rolname = any ($2)) and u.rolname <> $1`,
    [LAB_ROLE, [...REACHING_OUT, EXTENSION_ROLE]],
  )
  return rows.map(({ role, member, grantor, major }) => {
    // Since PostgreSQL 16 each grantor's grant stands by itself.
    const by = major >= 16 && grantor !== null ? `granted by ${escapeIdentifier(grantor)}` : ''
    return `revoke ${escapeIdentifier(role)} from ${escapeIdentifier(member)} ${by} cascade`
  })
}

/** Built-in functions are closed to others where they do harm (pg_read_file, lo_import, pg_reload_conf): what was opened since. */
const FUNCTION_GRANTS = `
  select distinct format('revoke all on routine %s from %s cascade', i.identity,
    case when a.grantee = 0 then 'public' else quote_ident(grantee.rolname) end) as statement
  from pg_proc p
  join pg_init_privs initial on initial.classoid = 'pg_proc'::regclass and initial.objoid = p.oid and initial.objsubid = 0
  cross join lateral aclexplode(p.proacl) a
  left join pg_authid grantee on grantee.oid = a.grantee
  cross join lateral pg_identify_object('pg_proc'::regclass, p.oid, 0) i
  where initial.privtype = 'i' and a.grantee <> p.proowner
    and grantee.rolname is distinct from $1
    and not exists (select from aclexplode(initial.initprivs) b where b.grantee = a.grantee)`

/** Those are open to everybody as they are made. The lab's role becomes their owner, so that nobody can open them again. */
const TRUSTING_FUNCTION_GRANTS = `
  select distinct format('revoke all on routine %s from %s cascade', i.identity,
    case when a.grantee = 0 then 'public' else quote_ident(grantee.rolname) end) as statement
  from pg_proc p
  left join pg_depend d on d.classid = 'pg_proc'::regclass and d.objid = p.oid
    and d.refclassid = 'pg_extension'::regclass and d.deptype = 'e'
  left join pg_extension e on e.oid = d.refobjid
  cross join lateral aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a
  left join pg_authid grantee on grantee.oid = a.grantee
  cross join lateral pg_identify_object('pg_proc'::regclass, p.oid, 0) i
  where (${inTrustingLibrary('p')} or e.extname = any ($2)) and a.grantee <> p.proowner
    and grantee.rolname is distinct from $1`

/** Grants to set what only a superuser may set, of which some load libraries (since PostgreSQL 15). */
const PARAMETER_GRANTS = `
  select distinct format('revoke all on parameter %s from %s cascade',
    (select string_agg(quote_ident(part), '.') from unnest(string_to_array(p.parname, '.')) part),
    case when a.grantee = 0 then 'public' else quote_ident(grantee.rolname) end) as statement
  from pg_parameter_acl p
  cross join lateral aclexplode(p.paracl) a
  left join pg_authid grantee on grantee.oid = a.grantee
  where a.grantee <> ${BOOTSTRAP_OID} and grantee.rolname is distinct from $1`

/** The lab's superuser takes what it finds in these for Postgres' own; pg_dump brings such a grant along. */
const SCHEMA_GRANTS = `
  select distinct format('revoke create on schema %I from %s cascade', n.nspname,
    case when a.grantee = 0 then 'public' else quote_ident(grantee.rolname) end) as statement
  from pg_namespace n
  cross join lateral aclexplode(n.nspacl) a
  left join pg_authid grantee on grantee.oid = a.grantee
  where n.nspname in ('pg_catalog', 'information_schema') and a.privilege_type = 'CREATE' and a.grantee <> n.nspowner
    and grantee.rolname is distinct from $1`

/**
 * All are switched off. The script of a trusted extension is run as the bootstrap superuser for whoever creates the extension, and event
 * triggers fire in it, with a body that users can change, or that calls what they can change.
 * https://www.postgresql.org/docs/current/sql-createextension.html
 */
const EVENT_TRIGGERS_OFF = `
  select format('alter event trigger %I disable', evtname) as statement from pg_event_trigger where evtenabled <> 'D'`

async function hasCatalog(client: Client, name: string): Promise<boolean> {
  const { rowCount } = await client.query(
    'select from pg_class where relname = $1 and relnamespace = $2::regnamespace',
    [name, 'pg_catalog'],
  )
  return rowCount === 1
}

/** Makes the roles that own what is in the data, or makes sure that they are no more than that. */
export async function ensureOwnerRoles(client: Client): Promise<void> {
  for (const role of [OWNER_ROLE, EXTENSION_ROLE]) {
    const { rowCount } = await client.query('select from pg_authid where rolname = $1', [role])
    const verb = rowCount === 0 ? 'create' : 'alter'
    await client.query(
      `${verb} role ${escapeIdentifier(role)} nologin nosuperuser noreplication nobypassrls nocreaterole nocreatedb inherit`,
    )
  }
}
