import { type Client, escapeIdentifier } from 'pg'
import { LAB_ROLE } from './names.ts'
import { runAll } from './statements.ts'

/**
 * What keeps a role's sessions from writing into the server's log whatever they please, and so from filling the lab's disk. Below PANIC
 * lies all that a session can say (LOG too: PostgreSQL manual, "Message Severity Levels"): with `exit_on_error`, which anybody may set, its
 * own errors are FATAL. Only a superuser can change these settings, and a role's own stand over those
 * of a database. They are not on the server's command line, since what it says at its start is read.
 */
const QUIET = { log_min_messages: 'panic', log_min_error_statement: 'panic', log_error_verbosity: 'terse' } as const

/** The statements that make a role quiet. */
export function quietStatements(role: string): string[] {
  return Object.entries(QUIET).map(([name, value]) => `alter role ${escapeIdentifier(role)} set ${name} = ${value}`)
}

/**
 * Makes quiet those that work on a user's behalf: the lab, and autovacuum, which calls the functions of a user's indexes with the
 * settings of the bootstrap superuser. And takes from all roles what a database has for them, which would stand over their own.
 */
export async function quietLog(client: Client): Promise<void> {
  const superusers = await client.query<{ name: string }>(
    'select rolname as name from pg_authid where oid = 10 or rolname = $1',
    [LAB_ROLE],
  )
  const louder = await client.query<{ statement: string }>(
    `select format('alter role %I in database %I reset %s', r.rolname, d.datname, name) as statement
     from pg_db_role_setting s
     join pg_authid r on r.oid = s.setrole
     join pg_database d on d.oid = s.setdatabase
     cross join unnest($1::text[]) name
     where exists (select from unnest(s.setconfig) setting where lower(split_part(setting, '=', 1)) = name)`,
    [Object.keys(QUIET)],
  )
  await runAll(client, [
    ...superusers.rows.flatMap(({ name }) => quietStatements(name)),
    ...louder.rows.map(({ statement }) => statement),
  ])
}
