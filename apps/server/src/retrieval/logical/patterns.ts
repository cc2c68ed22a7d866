import { ProvisionError } from '@dblab/provision'
import type { Selection } from './selection.ts'

/** Regular expressions of PostgreSQL's, for whole names; null where the pattern says nothing of the schema. */
export interface NamePattern {
  schema: string | null
  name: string
}

/** What is a regular expression's own in quotes too, where it is to be itself. */
const SPECIAL = /[|*+?()[\]{}.^$\\]/

/**
 * As pg_dump reads its patterns: letters fold unless they are quoted, `*` and `?` are as in file names, a dot comes after a schema, and what
 * else is special in a regular expression is so here, unless it is quoted.
 * https://www.postgresql.org/docs/current/app-psql.html#APP-PSQL-PATTERNS
 *
 * @throws ProvisionError INVALID
 */
export function readPattern(pattern: string): NamePattern {
  const parts = expressions(pattern)
  // A database's name before both is that of the one which is dumped, or pg_dump says so.
  const [name = '', schema = null] = parts.toReversed()
  return { schema, name }
}

function expressions(pattern: string): string[] {
  const parts = ['']
  let quoted = false
  const add = (text: string): void => {
    parts[parts.length - 1] += text
  }
  for (let at = 0; at < pattern.length; at++) {
    const char = pattern.charAt(at)
    if (char === '"' && quoted && pattern.charAt(at + 1) === '"') {
      add('"')
      at++
    } else if (char === '"') quoted = !quoted
    else if (quoted) add(SPECIAL.test(char) ? `\\${char}` : char)
    else if (char === '.') parts.push('')
    else if (char === '*') add('.*')
    else if (char === '?') add('.')
    else if (char === '$') add('\\$')
    else add(/[A-Z]/.test(char) ? char.toLowerCase() : char)
  }
  if (quoted) {
    throw new ProvisionError('INVALID', `the pattern ${pattern} has a quote that does not end`, {
      hint: 'Correct the patterns of retrieval.sources.',
    })
  }
  return parts.map((part) => `^(${part})$`)
}

/** SQL of a condition on `pg_class c` and `pg_namespace n`, with the values of its parameters. */
export interface Condition {
  sql: string
  values: string[]
}

/** As pg_dump finds names: in all schemas but the system's own. Of `pg_namespace n`. */
export const USER_SCHEMAS = `n.nspname !~ '^pg_(toast|temp|catalog)' AND n.nspname <> 'information_schema'`

/** What belongs to an extension comes with the extension, and is not read. Of `pg_class c`. */
export const OWN = `NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')`

/** What a dump has: tables and the like; those of them that it has with their rows; schemas, with what is no table in them. */
export interface Chosen {
  dumped: Condition
  withRows: Condition
  /** Of `pg_namespace n` alone. */
  schema: Condition
}

export function chosen(selection: Selection): Chosen {
  const values: string[] = []
  const matches = (column: string, expression: string): string => {
    values.push(expression)
    return `${column} ~ $${values.length}::text COLLATE "default"`
  }
  const anyTable = (patterns: readonly string[]): string =>
    anyOf(patterns, (pattern) => {
      const { schema, name } = readPattern(pattern)
      const where = schema === null ? 'pg_table_is_visible(c.oid)' : matches('n.nspname', schema)
      return `${where} AND ${matches('c.relname', name)}`
    })
  const anySchema = (patterns: readonly string[]): string =>
    anyOf(patterns, (pattern) => matches('n.nspname', readPattern(pattern).name))
  const { schemas, tables, excludeSchemas, excludeTables, excludeTableData } = selection
  // Where tables are named, pg_dump does not look at schemas.
  const schema =
    tables.length > 0
      ? 'false'
      : `(${schemas.length > 0 ? anySchema(schemas) : 'true'} AND NOT ${anySchema(excludeSchemas)})`
  const ofSchema = [...values]
  const dumped = `${tables.length > 0 ? anyTable(tables) : schema} AND NOT ${anyTable(excludeTables)}`
  const ofDumped = [...values]
  const withRows = `${dumped} AND NOT ${anyTable(excludeTableData)}`
  // Each has the parameters of the one before, and its own.
  return {
    dumped: { sql: dumped, values: ofDumped },
    withRows: { sql: withRows, values },
    schema: { sql: schema, values: ofSchema },
  }
}

function anyOf(patterns: readonly string[], condition: (pattern: string) => string): string {
  if (patterns.length === 0) return 'false'
  return `(${patterns.map((pattern) => `(${condition(pattern)})`).join(' OR ')})`
}
