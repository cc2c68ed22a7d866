import { randomBytes } from 'node:crypto'
import { type Client, DatabaseError } from 'pg'
import { Parameters } from './expression.ts'
import { sessionSettings } from './session.ts'

/** Statements in which code of the data is evaluated: CHECK constraints, domains, generated columns, casts. */
export interface Confined {
  run(statement: string, parameters?: Parameters): Promise<void>
  /** The only row of a query. */
  ask<Row>(query: string, parameters?: Parameters): Promise<Row>
  /** Makes what was done so far last, and lets go of its locks. */
  commit(): Promise<void>
}

/**
 * A transaction of the lab's superuser, or several, in which statements can be run as a role that may read and write all tables, is nothing
 * else, and can't become the superuser: they run within a function of that role's with SECURITY DEFINER, where Postgres refuses SET ROLE and
 * RESET ROLE. Neither does the data's code leave something behind that the superuser would run afterwards: no object and no deferred trigger
 * (an event trigger refuses its DDL), no cursor (closed), no search_path or other setting (reset). What Postgres maintains for others, such as
 * indexes, it evaluates as their tables' owners, and confines by itself. After a failure the session has to end, and the cluster goes.
 * https://www.postgresql.org/docs/current/sql-createfunction.html
 *
 * @param settings of the transaction, by SET LOCAL
 */
export async function confine(
  client: Client,
  settings: readonly string[],
  work: (confined: Confined) => Promise<void>,
): Promise<void> {
  // In no data yet, and nothing that has to be quoted.
  const role = `dblab_masking_${randomBytes(8).toString('hex')}`
  const locals = [...settings, SAFE_PATH].map((setting) => `set local ${setting}`)
  await client.query('begin')
  for (const local of locals) await client.query(local)
  const triggers = await stopDeferred(client)
  for (const statement of begin(role)) await client.query(statement)
  await grantFunctions(client, role)
  const step = async (call: string, statement: string, parameters: Parameters): Promise<unknown> => {
    const result = await invoke(client, call, statement, parameters)
    await cleanUp(client, locals)
    return result
  }
  await work({
    run: async (statement, parameters = new Parameters()) => {
      await step('dblab_run', statement, parameters)
    },
    ask: async <Row>(query: string, parameters = new Parameters()) =>
      (await step('dblab_ask', `select to_jsonb(answer) from (${query}) answer`, parameters)) as Row,
    commit: async () => {
      await client.query(['commit', 'begin', ...locals].join('; '))
    },
  })
  for (const statement of end(role)) await client.query(statement)
  for (const { enable } of triggers) await client.query(enable)
  await client.query('commit')
}

/** Else the temporary schema, in which anybody may make tables, comes before Postgres' own. */
const SAFE_PATH = 'search_path = pg_catalog, pg_temp'

/** Whatever the data's code has left in the session; in this order, so that no name is looked up before they can be trusted. */
async function cleanUp(client: Client, locals: readonly string[]): Promise<void> {
  await client.query(['close all', 'reset all', ...locals, sessionSettings, NO_TIMEOUT].join('; '))
}

/** As a connection of the lab's begins, where the server knows it. */
const NO_TIMEOUT = `select set_config('transaction_timeout', '0', false) where current_setting('transaction_timeout', true) is not null`

function begin(role: string): string[] {
  const owned = (name: string, returns: string, execute: string): string[] => [
    `create function pg_temp.${name}(statement text, texts text[], bytes bytea[]) returns ${returns}
     language plpgsql security definer set search_path = pg_catalog, pg_temp as $$ ${execute} $$`,
    `alter function pg_temp.${name}(text, text[], bytea[]) owner to ${role}`,
  ]
  return [
    `create role ${role} nologin nosuperuser nocreatedb nocreaterole noreplication bypassrls inherit
     in role pg_read_all_data, pg_write_all_data`,
    ...owned('dblab_run', 'void', 'begin execute $1 using $2, $3; end'),
    ...owned(
      'dblab_ask',
      'jsonb',
      'declare answer jsonb; begin execute $1 into answer using $2, $3; return answer; end',
    ),
    `create function pg_temp.dblab_refuse() returns event_trigger language plpgsql
     set search_path = pg_catalog, pg_temp as $$ begin
       if current_user <> session_user then
         raise insufficient_privilege using message = 'code of the data may make and alter nothing while it is masked';
       end if;
     end $$`,
    `create event trigger ${role} on ddl_command_start execute function pg_temp.dblab_refuse()`,
    // Also where the session fires no others.
    `alter event trigger ${role} enable always`,
  ]
}

function end(role: string): string[] {
  return [`drop event trigger ${role}`, `drop owned by ${role}`, `drop role ${role}`, 'discard temp']
}

/** Fired at the commit, they would be so as the superuser (until PostgreSQL 18). Of tables that masked ones have nothing to do with, too. */
async function stopDeferred(client: Client): Promise<{ enable: string }[]> {
  const { rows } = await client.query<{ disable: string; enable: string }>(
    `select format('alter table only %I.%I disable trigger %I', n.nspname, c.relname, tgname) as disable,
       format('alter table only %I.%I enable %s trigger %I', n.nspname, c.relname,
         case tgenabled when 'A' then 'always' else 'replica' end, tgname) as enable
     from pg_trigger join pg_class c on c.oid = tgrelid join pg_namespace n on n.oid = c.relnamespace
     where not tgisinternal and tgdeferrable and tgenabled in ('A', 'R')`,
  )
  for (const { disable } of rows) await client.query(disable)
  return rows
}

/**
 * Functions that not everybody may call may be in constraints nevertheless. Not those that can do more than who calls them: that have SECURITY
 * DEFINER, or are in a language that only superusers may write.
 */
async function grantFunctions(client: Client, role: string): Promise<void> {
  const { rows } = await client.query<{ statement: string }>(
    `select format('grant execute on routine %s to ${role}', p.oid::regprocedure) as statement
     from pg_proc p join pg_language l on l.oid = p.prolang join pg_namespace n on n.oid = p.pronamespace
     where lanpltrusted and not prosecdef and n.nspname !~ '^pg_' and n.nspname <> 'information_schema' and prorettype <> 'event_trigger'::regtype
       and not has_function_privilege($1::name, p.oid, 'execute')`,
    [role],
  )
  for (const { statement } of rows) await client.query(statement)
}

async function invoke(client: Client, name: string, statement: string, { texts, bytes }: Parameters): Promise<unknown> {
  try {
    const { rows } = await client.query<{ answer: unknown }>(
      `select pg_temp.${name}($1::text, $2::text[], $3::bytea[]) as answer`,
      [statement, texts, bytes],
    )
    return rows[0]?.answer
  } catch (error) {
    throw withoutOwnContext(error, name, statement)
  }
}

/** What is left of an error's context is the data's. In English: the session's messages are. */
function withoutOwnContext(error: unknown, name: string, statement: string): unknown {
  if (!(error instanceof DatabaseError) || error.where === undefined) return error
  const at = error.where.lastIndexOf(`SQL statement "${statement}"\n`)
  const own = new RegExp(
    `^SQL statement "[^]*"\\nPL/pgSQL function pg_temp\\S*\\.${name}\\(.*\\) line \\d+ at EXECUTE$`,
  )
  if (at !== -1 && own.test(error.where.slice(at))) error.where = error.where.slice(0, at).trimEnd() || undefined
  return error
}
