import { type Client, escapeIdentifier } from 'pg'
import { inTrustingLibrary } from './disarm.ts'
import { EXTENSION_ROLE, FIRST_OWN_OID, LAB_ROLE, OWNER_ROLE } from './names.ts'
import { runEach } from './statements.ts'

interface Kind {
  catalog: string
  ownerColumn: string
  /** ALTER <this> <identity> OWNER TO … */
  alter: string
  /** Of these rows only, named `o`. */
  where?: string
  /** Rows whose owner must be a superuser, or be none of the users. */
  superuser?: string
}

/**
 * SQL: that a function, `o`, is in a language that only superusers may write (C, internal, plpython3u), so that it can do anything, and
 * whoever owns it can call it. Aggregates and what makes values of a range count as internal too, and do nothing of their own.
 */
const UNTRUSTED = `o.prokind <> 'a'
  and exists (select from pg_language l where l.oid = o.prolang and not l.lanpltrusted)
  and not exists (select from pg_depend d where d.classid = 'pg_proc'::regclass and d.objid = o.oid and d.deptype in ('i', 'e'))`

/** What has an owner and is none of these is owned through another object, or handed over by REASSIGN OWNED. */
const KINDS: readonly Kind[] = [
  { catalog: 'pg_namespace', ownerColumn: 'nspowner', alter: 'SCHEMA', where: `nspname !~ '^pg_(toast_)?temp_'` },
  {
    catalog: 'pg_class',
    ownerColumn: 'relowner',
    // Of views, materialized views, sequences and foreign tables too.
    alter: 'TABLE',
    // A column's sequence goes with its table, and can't go alone.
    where: `relpersistence <> 't' and (relkind in ('r', 'p', 'v', 'm', 'f') or relkind = 'S' and not exists (
      select from pg_depend d where d.classid = 'pg_class'::regclass and d.objid = o.oid
        and d.refclassid = 'pg_class'::regclass and d.deptype in ('a', 'i')))`,
  },
  {
    catalog: 'pg_type',
    ownerColumn: 'typowner',
    alter: 'TYPE',
    // Arrays, multiranges and the row types of tables go with what they belong to.
    where: `typtype in ('b', 'd', 'e', 'r', 'c') and typisdefined
      and not exists (select from pg_type element where element.typarray = o.oid)
      and (typrelid = 0 or exists (select from pg_class c where c.oid = typrelid and c.relkind = 'c'))`,
  },
  {
    catalog: 'pg_proc',
    ownerColumn: 'proowner',
    alter: 'ROUTINE',
    superuser: `(${inTrustingLibrary('o')} or ${UNTRUSTED})`,
  },
  { catalog: 'pg_tablespace', ownerColumn: 'spcowner', alter: 'TABLESPACE' },
  { catalog: 'pg_operator', ownerColumn: 'oprowner', alter: 'OPERATOR' },
  { catalog: 'pg_opfamily', ownerColumn: 'opfowner', alter: 'OPERATOR FAMILY' },
  { catalog: 'pg_opclass', ownerColumn: 'opcowner', alter: 'OPERATOR CLASS' },
  { catalog: 'pg_collation', ownerColumn: 'collowner', alter: 'COLLATION' },
  { catalog: 'pg_conversion', ownerColumn: 'conowner', alter: 'CONVERSION' },
  { catalog: 'pg_ts_config', ownerColumn: 'cfgowner', alter: 'TEXT SEARCH CONFIGURATION' },
  { catalog: 'pg_ts_dict', ownerColumn: 'dictowner', alter: 'TEXT SEARCH DICTIONARY' },
  { catalog: 'pg_statistic_ext', ownerColumn: 'stxowner', alter: 'STATISTICS' },
  { catalog: 'pg_language', ownerColumn: 'lanowner', alter: 'LANGUAGE', superuser: 'not lanpltrusted' },
  {
    catalog: 'pg_foreign_server',
    ownerColumn: 'srvowner',
    alter: 'SERVER',
    // Who owns one makes tables of it with any options: what others than postgres_fdw take them for, nobody knows.
    superuser: `not exists (select from pg_foreign_data_wrapper w join pg_proc handler on handler.oid = w.fdwhandler
      where w.oid = o.srvfdw and handler.probin ~ '(^|/)postgres_fdw(\\.[a-z]+)?$')`,
  },
  { catalog: 'pg_foreign_data_wrapper', ownerColumn: 'fdwowner', alter: 'FOREIGN DATA WRAPPER', superuser: 'true' },
  { catalog: 'pg_event_trigger', ownerColumn: 'evtowner', alter: 'EVENT TRIGGER', superuser: 'true' },
  {
    catalog: 'pg_publication',
    ownerColumn: 'pubowner',
    alter: 'PUBLICATION',
    // Since PostgreSQL 15 a publication can be of all tables of a schema; older servers have no such catalogue to look into.
    superuser: `puballtables or to_regclass('pg_catalog.pg_publication_namespace') is not null and exists (
      select from pg_depend d where d.refclassid = 'pg_publication'::regclass and d.refobjid = o.oid
        and d.classid = to_regclass('pg_catalog.pg_publication_namespace'))`,
  },
  {
    catalog: 'pg_subscription',
    ownerColumn: 'subowner',
    alter: 'SUBSCRIPTION',
    where: 'subdbid = (select d.oid from pg_database d where d.datname = current_database())',
    superuser: 'true',
  },
]

/**
 * Gives what the client's database holds to the owner role, and the database itself, whoever had it before. What must belong to a
 * superuser goes to the lab's role. The parts of extensions that a superuser has go to a role of their own: some trust their owner, who
 * must be none of the users, and some call what users may change (a function with SECURITY DEFINER, the expression of an index that
 * autovacuum evaluates as the table's owner), which must never happen as a superuser. What an ordinary role has stays out of that: it may
 * have made itself a part of an extension, to be lifted with it. Functions in languages that only superusers may write go to the lab's
 * role, with their grants, and run with their callers' rights: else each user could call what the data has closed. The extensions
 * themselves go to the owner role where they can, so that a clone's user may drop them.
 *
 * What the data's own bootstrap superuser has that Postgres gives no command to hand over, such as an extension that it made, stays.
 */
export async function handOver(client: Client, database: string, superusers: readonly number[]): Promise<void> {
  await runEach(client, DEFINERS)
  const owned = KINDS.map(statementsOf).join(' union all ')
  await runEach(client, owned, [LAB_ROLE, OWNER_ROLE, EXTENSION_ROLE, superusers])
  await runEach(client, REFERENCES_TO_PARTS, [EXTENSION_ROLE])
  await handOverLargeObjects(client)
  await reassignTheRest(client)
  await client.query(`alter database ${escapeIdentifier(database)} owner to ${escapeIdentifier(OWNER_ROLE)}`)
}

function statementsOf({ catalog, ownerColumn, alter, where, superuser }: Kind): string {
  const nameOfOwn = catalog === 'pg_namespace' ? `or o.nspname = 'public'` : ''
  return `
    select format('alter ${alter.toLowerCase()} %s owner to %I', identity, target) as statement
    from (
      select i.identity, owner.oid as owner, owner.rolsuper as owner_is_superuser, member.is_member,
        case when ${superuser ?? 'false'} then $1::text
          when member.is_member and (owner.oid = any($4::oid[]) or owner.rolname = $3) then $3::text
          else $2::text end as target
      from ${catalog} o
      join pg_authid owner on owner.oid = o.${ownerColumn}
      cross join lateral (select exists (
        select from pg_depend d where d.classid = '${catalog}'::regclass and d.objid = o.oid
          and d.refclassid = 'pg_extension'::regclass and d.deptype = 'e') as is_member) member
      cross join lateral pg_identify_object('${catalog}'::regclass, o.oid, 0) i
      where (o.oid >= ${FIRST_OWN_OID} ${nameOfOwn}) and (${where ?? 'true'})
    ) found
    where owner <> target::regrole and not (target = $1 and owner_is_superuser and owner = 10)`
}

/** With the lab's role as their owner they would run as a superuser. */
const DEFINERS = `
  select format('alter routine %s security invoker', i.identity) as statement
  from pg_proc o cross join lateral pg_identify_object('pg_proc'::regclass, o.oid, 0) i
  where o.oid >= ${FIRST_OWN_OID} and o.prosecdef and (${inTrustingLibrary('o')} or ${UNTRUSTED})`

/** A foreign key is looked up as the owner of the table that it refers to, by a cast of whoever made the key. */
const REFERENCES_TO_PARTS = `
  select distinct format('revoke references, trigger on table %s from %s cascade', i.identity,
    case when granted.grantee = 0 then 'public' else quote_ident(grantee.rolname) end) as statement
  from pg_class c
  cross join lateral (
    select a.grantee from aclexplode(c.relacl) a where a.privilege_type in ('REFERENCES', 'TRIGGER')
    union
    select a.grantee from pg_attribute t cross join lateral aclexplode(t.attacl) a
    where t.attrelid = c.oid and a.privilege_type = 'REFERENCES'
  ) granted
  left join pg_authid grantee on grantee.oid = granted.grantee
  cross join lateral pg_identify_object('pg_class'::regclass, c.oid, 0) i
  where c.relowner = $1::regrole and c.relkind in ('r', 'p') and granted.grantee <> c.relowner`

async function handOverLargeObjects(client: Client): Promise<void> {
  await runEach(
    client,
    `select format('alter large object %s owner to %I', oid, $1::text) as statement
     from pg_largeobject_metadata where lomowner <> $1::regrole`,
    [OWNER_ROLE],
  )
}

/** Extensions, other databases, tablespaces: there REASSIGN OWNED is the only command, or the shortest. It refuses the bootstrap role. */
async function reassignTheRest(client: Client): Promise<void> {
  await runEach(
    client,
    `select distinct format('reassign owned by %I to %I', r.rolname, $2::text) as statement
     from pg_shdepend s join pg_authid r on r.oid = s.refobjid
     where s.refclassid = 'pg_authid'::regclass and s.deptype = 'o'
       and s.dbid in (0, (select d.oid from pg_database d where d.datname = current_database()))
       and r.oid <> 10 and r.rolname !~ '^pg_' and r.rolname not in ($1, $2, $3)`,
    [LAB_ROLE, OWNER_ROLE, EXTENSION_ROLE],
  )
}
