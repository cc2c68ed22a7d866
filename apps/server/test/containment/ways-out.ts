/** A way out of a database that is known, and how it ends. `{NAME}` stands for what only the running test knows. */
export interface WayOut {
  title: string
  /** Allowed, and a step on the way. */
  before?: readonly string[]
  /** Refused. */
  sql: string
  /** https://www.postgresql.org/docs/current/errcodes-appendix.html; insufficient_privilege where left out */
  code?: RegExp
}

const ways = (list: readonly (readonly [title: string, sql: string, code?: RegExp])[]): WayOut[] =>
  list.map(([title, sql, code]) => ({ title, sql, ...(code && { code }) }))

/** A library or an extension that this Postgres does not even have. */
const MISSING = /^(42501|58P01|0A000)$/

export const FILES_AND_PROGRAMS: readonly WayOut[] = [
  ...ways([
    ['COPY TO PROGRAM', `COPY (SELECT 1) TO PROGRAM 'id'`],
    ['COPY FROM PROGRAM', `COPY actor FROM PROGRAM 'id'`],
    ['COPY FROM a file', `COPY actor FROM '/etc/passwd'`],
    ['COPY TO a file', `COPY actor TO '{OPEN}/actors'`],
    ['pg_read_file, though the data opened it', `SELECT pg_read_file('/etc/passwd')`],
    ['pg_read_binary_file', `SELECT pg_read_binary_file('/etc/passwd')`],
    ['pg_read_file within the data directory', `SELECT pg_read_file('postgresql.conf', 0, 10)`],
    ["a file of a neighbour's data", `SELECT pg_read_binary_file('{OTHER_DATA}/global/pg_control')`],
    ["COPY from a neighbour's data", `COPY actor FROM '{OTHER_DATA}/PG_VERSION'`],
    ['pg_ls_dir', `SELECT pg_ls_dir('.')`],
    ['pg_ls_waldir', 'SELECT pg_ls_waldir()'],
    ['pg_stat_file', `SELECT pg_stat_file('/etc/passwd')`],
    ['lo_import', `SELECT lo_import('/etc/passwd')`],
    ['lo_export', `SELECT lo_export(lo_create(0), '{OPEN}/object')`],
    ['a tablespace', `CREATE TABLESPACE elsewhere LOCATION '{OPEN}'`],
    [
      'a foreign table of a file',
      `CREATE FOREIGN TABLE mine (line text) SERVER files OPTIONS (filename '/etc/shadow')`,
    ],
    ['the file of a foreign table that is there', `ALTER FOREIGN TABLE passwd OPTIONS (SET filename '/etc/shadow')`],
    ['the program of one', `ALTER FOREIGN TABLE passwd OPTIONS (DROP filename, ADD program 'id')`],
    [
      'a path for a dictionary',
      `CREATE TEXT SEARCH DICTIONARY d (TEMPLATE = simple, STOPWORDS = '../../../../../etc/passwd')`,
      /^22023$/,
    ],
    ["a superuser's function of the data", `SELECT as_root('id')`],
    ['one that the data has closed, in a language of superusers', `SELECT ops_load('/etc/passwd')`],
    ['the right to that', 'GRANT EXECUTE ON FUNCTION ops_load(text) TO CURRENT_USER'],
    ['that in another name', `ALTER FUNCTION ops_load(text) OWNER TO CURRENT_USER`],
    ["to make that function a superuser's again", 'ALTER FUNCTION as_root(text) OWNER TO dblab'],
  ]),
  {
    title: "the data's event trigger, in the script of an extension, which is run as a superuser",
    before: [
      `CREATE OR REPLACE FUNCTION on_ddl() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN
         IF (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) THEN ALTER ROLE mallory SUPERUSER; END IF; END $$`,
      'CREATE EXTENSION hstore',
      'DROP EXTENSION hstore',
    ],
    sql: `COPY (SELECT 1) TO PROGRAM 'id'`,
  },
]

export const LIBRARIES: readonly WayOut[] = ways([
  ['plpython3u', 'CREATE EXTENSION plpython3u', MISSING],
  ['plperlu', 'CREATE EXTENSION plperlu', MISSING],
  ['a function in C', `CREATE FUNCTION c() RETURNS int LANGUAGE c AS '{OPEN}/evil.so', 'c'`],
  ['a function of an internal name', `CREATE FUNCTION i(text) RETURNS text LANGUAGE internal AS 'pg_read_file_all'`],
  ['a language of its own', 'CREATE LANGUAGE mine HANDLER plpgsql_call_handler'],
  ['LOAD', `LOAD '{OPEN}/evil.so'`],
  ['LOAD of an installed library', `LOAD 'dblink'`],
  ['session_preload_libraries of a session', `SET session_preload_libraries = '{OPEN}/evil.so'`],
  [
    'session_preload_libraries of the database',
    `ALTER DATABASE pagila SET session_preload_libraries = '{OPEN}/evil.so'`,
  ],
  ['session_preload_libraries of the role', `ALTER ROLE CURRENT_USER SET session_preload_libraries = '{OPEN}/evil.so'`],
  ['shared_preload_libraries', `ALTER SYSTEM SET shared_preload_libraries = '{OPEN}/evil.so'`],
  ['dynamic_library_path', `SET dynamic_library_path = '{OPEN}'`],
  ['an extension that is not trusted', 'CREATE EXTENSION pageinspect', MISSING],
  ['an access method', 'CREATE ACCESS METHOD mine TYPE TABLE HANDLER heap_tableam_handler'],
  ['a cast that does not look', 'CREATE CAST (int8 AS text) WITHOUT FUNCTION'],
  [
    "an entry in Postgres' own operator families",
    'ALTER OPERATOR FAMILY integer_ops USING btree DROP OPERATOR 1 (int4, int8)',
  ],
  [
    "a function among Postgres' own, though the data allowed it",
    `CREATE FUNCTION pg_catalog.mine() RETURNS int LANGUAGE sql AS 'SELECT 1'`,
  ],
])

export const ROLES: readonly WayOut[] = ways([
  ["SET ROLE to the lab's", 'SET ROLE dblab'],
  ["SET ROLE to that of extensions' parts", 'SET ROLE dblab_extensions'],
  ["SET SESSION AUTHORIZATION to the lab's", 'SET SESSION AUTHORIZATION dblab'],
  ["a grant of the lab's role", 'GRANT dblab TO CURRENT_USER'],
  ['the owner role for others', 'GRANT dblab_owner TO pg_monitor'],
  ['a superuser', 'CREATE ROLE root SUPERUSER'],
  ['a plain role', 'CREATE ROLE plain'],
  ['itself a superuser', 'ALTER ROLE CURRENT_USER SUPERUSER'],
  ['itself replicating', 'ALTER ROLE CURRENT_USER REPLICATION'],
  ['itself above row security', 'ALTER ROLE CURRENT_USER BYPASSRLS'],
  ['itself a maker of roles', 'ALTER ROLE CURRENT_USER CREATEROLE'],
  ["the lab's password", `ALTER ROLE dblab PASSWORD 'x'`],
  ['a login for the owner role', `ALTER ROLE dblab_owner LOGIN PASSWORD 'x'`],
  ["the lab's settings", `ALTER ROLE dblab SET session_preload_libraries = 'x'`],
  ["everybody's settings", `ALTER ROLE ALL SET search_path = public`],
  ['verifiers of passwords', 'SELECT rolpassword FROM pg_authid'],
  ['the same by their view', 'SELECT passwd FROM pg_shadow'],
  ['to write them', `UPDATE pg_authid SET rolsuper = true WHERE rolname = current_user`],
  ['a table given to the lab', 'ALTER TABLE actor OWNER TO dblab'],
  ['a schema given to the lab', 'CREATE SCHEMA gift AUTHORIZATION dblab'],
  ['a database given to the lab', 'CREATE DATABASE gift OWNER dblab'],
  ['everything given to the lab', 'REASSIGN OWNED BY dblab_owner TO dblab'],
  ['what the lab will make', 'ALTER DEFAULT PRIVILEGES FOR ROLE dblab GRANT ALL ON TABLES TO PUBLIC'],
])

export const SERVER: readonly WayOut[] = ways([
  ['ALTER SYSTEM', `ALTER SYSTEM SET log_statement = 'all'`],
  ['pg_reload_conf, though the data opened it', 'SELECT pg_reload_conf()'],
  ['pg_rotate_logfile', 'SELECT pg_rotate_logfile()'],
  ['CHECKPOINT', 'CHECKPOINT'],
  ['pg_switch_wal', 'SELECT pg_switch_wal()'],
  ['pg_create_restore_point', `SELECT pg_create_restore_point('x')`],
  ['pg_promote', 'SELECT pg_promote()'],
  ['the statistics that tell of use', 'SELECT pg_stat_reset()'],
  ['where its files are', 'SHOW data_directory'],
  ['where its socket is', 'SHOW unix_socket_directories'],
  ['the rules of who comes in', 'SELECT * FROM pg_hba_file_rules'],
  ['which account is the lab', 'SELECT * FROM pg_ident_file_mappings'],
  ['its configuration files', 'SELECT * FROM pg_file_settings'],
  ['an event trigger', 'CREATE EVENT TRIGGER mine ON ddl_command_end EXECUTE FUNCTION on_ddl()'],
  ["the data's event trigger", 'ALTER EVENT TRIGGER watch ENABLE ALWAYS'],
  ['a subscription', `CREATE SUBSCRIPTION s CONNECTION 'host={OTHER_SOCKET} user=dblab' PUBLICATION p`],
  ['a replication slot', `SELECT pg_create_physical_replication_slot('x')`],
  ['a logical one', `SELECT pg_create_logical_replication_slot('x', 'pgoutput')`],
  ['triggers that are switched off', `SET session_replication_role = replica`],
  ["the lab's database as a template", 'CREATE DATABASE mine TEMPLATE dblab'],
  ["the lab's database", 'DROP DATABASE dblab'],
  ["the lab's database by another name", 'ALTER DATABASE dblab RENAME TO gone'],
  ["settings of the lab's database", 'ALTER DATABASE dblab SET search_path = public'],
  ['settings of the template', 'ALTER DATABASE template1 SET search_path = public'],
])

const server = (name: string, host: string, port: string, mapping: string): string[] => [
  `CREATE SERVER ${name} FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '${host}', port '${port}', dbname 'dblab')`,
  `CREATE USER MAPPING FOR CURRENT_USER SERVER ${name} OPTIONS (${mapping})`,
  `CREATE FOREIGN TABLE ${name}_roles (rolname name) SERVER ${name} OPTIONS (schema_name 'pg_catalog', table_name 'pg_authid')`,
]
const AS_LAB = `user 'dblab', password 'x'`
/** could not connect; password is required; insufficient_privilege */
const NO_CONNECTION = /^(08001|2F003|42501)$/

export const CONNECTIONS: readonly WayOut[] = [
  ...ways([
    ['dblink', `SELECT dblink_connect('host={OWN_SOCKET} port={OWN_PORT} user=dblab dbname=dblab')`],
    [
      "dblink's other ways",
      `SELECT * FROM dblink('host={OTHER_SOCKET} port={OTHER_PORT} user=dblab', 'SELECT 1') AS t (a int)`,
    ],
    ['the right to dblink', 'GRANT EXECUTE ON FUNCTION dblink_connect(text) TO CURRENT_USER'],
    [
      'a mapping without a password',
      `CREATE USER MAPPING FOR PUBLIC SERVER files OPTIONS (password_required 'false')`,
      /^(HV00D|42501)$/,
    ],
  ]),
  {
    title: "postgres_fdw to the lab's socket",
    before: server('own', '{OWN_SOCKET}', '{OWN_PORT}', AS_LAB),
    sql: 'SELECT * FROM own_roles',
    code: NO_CONNECTION,
  },
  {
    title: 'postgres_fdw to it without a password',
    before: server('bare', '{OWN_SOCKET}', '{OWN_PORT}', `user 'dblab'`),
    sql: 'SELECT * FROM bare_roles',
    code: NO_CONNECTION,
  },
  {
    title: "postgres_fdw to a neighbour's socket",
    before: server('other', '{OTHER_SOCKET}', '{OTHER_PORT}', AS_LAB),
    sql: 'SELECT * FROM other_roles',
    code: NO_CONNECTION,
  },
  {
    title: "postgres_fdw to a neighbour's port as the lab",
    before: server('tcp', '127.0.0.1', '{OTHER_PORT}', AS_LAB),
    sql: 'SELECT * FROM tcp_roles',
    code: NO_CONNECTION,
  },
  {
    title: "postgres_fdw to a neighbour's port as its user",
    before: server('alice', '127.0.0.1', '{OTHER_PORT}', `user 'alice', password 'a guess'`),
    sql: 'SELECT * FROM alice_roles',
    code: NO_CONNECTION,
  },
  {
    title: 'a mapping that asks for no password',
    before: server('free', '{OWN_SOCKET}', '{OWN_PORT}', AS_LAB),
    sql: `ALTER USER MAPPING FOR CURRENT_USER SERVER free OPTIONS (ADD password_required 'false')`,
  },
  {
    title: 'a mapping with a file of the server as its key',
    before: server('key', '127.0.0.1', '{OTHER_PORT}', AS_LAB),
    sql: `ALTER USER MAPPING FOR CURRENT_USER SERVER key OPTIONS (ADD sslkey '/etc/passwd', ADD sslcert '/etc/passwd')`,
  },
]
