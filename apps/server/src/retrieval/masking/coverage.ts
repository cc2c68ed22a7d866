import { type Instance, ProvisionError } from '@dblab/provision'
import { type Client, escapeIdentifier } from 'pg'
import { type Catalog, type Column, keyOf, nameOf, type Table } from './catalog.ts'
import { type Confined, confine } from './confined.ts'
import { maskingFailure } from './failure.ts'
import type { Pattern } from './pattern.ts'
import { contentFunctions, LOOKS } from './sensitive-content.ts'
import { meaningOf } from './sensitive-names.ts'
import { maskingSession } from './session.ts'
import { opaqueViews } from './views.ts'

/** A column that looks personal, and that nobody has said anything about. Never a value of it. */
export interface Finding {
  database: string
  table: string
  column: string
  why: string
  /** Of the values looked at, how many look so, from 0 to 1; undefined where the name says it. */
  share: number | undefined
  /** A materialized one, about which there can be no rule. */
  ofView: boolean
}

export interface CoverageSpec {
  database: string
  catalog: Catalog
  /** Columns that rules cover, as `keyOf` names them. */
  covered: ReadonlySet<string>
  allow: readonly Pattern[]
  signal: AbortSignal
  onTable: (table: string, done: number, total: number) => void
}

/** So many pages of a table are looked at, of so many of its partitions, and so many characters of a value. */
const MOST_PAGES = 1000
const MOST_PARTS = 100
const MOST_CHARACTERS = 4000

/**
 * Looks at the names of all columns that are not covered, and at a sample of their values, as it is after masking. Foreign tables are left
 * alone: their rows are elsewhere; a materialized view is looked at where what it holds may be in no table that is.
 */
export async function findUncovered(instance: Instance, spec: CoverageSpec): Promise<Finding[]> {
  return maskingSession(
    instance,
    spec.database,
    async (client) => {
      const open = uncovered(spec, await opaqueViews(client))
      let byContent = new Map<Column, Finding>()
      await confine(client, [], async (confined) => {
        for (const statement of contentFunctions) await client.query(statement)
        byContent = await inspectTables(client, confined, spec, open)
      })
      const findings = open.flatMap((column) => byContent.get(column) ?? byName(spec.database, column) ?? [])
      return findings
    },
    { signal: spec.signal },
  )
}

/** Of tables, and of materialized views that may hold something else than the tables do. */
function uncovered({ catalog, covered, allow }: CoverageSpec, views: ReadonlySet<number>): Column[] {
  return catalog.columns.filter(
    ({ table, name }) =>
      table.oid === table.root &&
      (table.kind === 'r' || table.kind === 'p' || views.has(table.oid)) &&
      !covered.has(keyOf(table.root, name)) &&
      !allow.some((pattern) => pattern(table.schema, table.name, name)),
  )
}

function byName(database: string, column: Column): Finding | undefined {
  const meaning = meaningOf(column)
  return meaning === undefined ? undefined : finding(database, column, `its name says ${meaning}`)
}

function finding(database: string, column: Column, why: string, share?: number): Finding {
  const { schema, name, kind } = column.table
  return { database, table: `${schema}.${name}`, column: column.name, why, share, ofView: kind === 'm' }
}

async function inspectTables(
  client: Client,
  confined: Confined,
  { database, onTable }: CoverageSpec,
  open: readonly Column[],
): Promise<Map<Column, Finding>> {
  const findings = new Map<Column, Finding>()
  const tables = [...Map.groupBy(open.filter(holdsText), ({ table }) => table)]
  for (const [done, [table, columns]] of tables.entries()) {
    onTable(table.sql, done, tables.length)
    for (const column of columns) {
      const found = await inspect(confined, column, await sample(client, table, column))
      if (found) findings.set(column, finding(database, column, `its values look like ${found.what}`, found.share))
    }
    // Of all tables together, the locks would be too many.
    await confined.commit()
  }
  return findings
}

/** The first of what its values look like. */
async function inspect(
  confined: Confined,
  column: Column,
  values: string,
): Promise<{ what: string; share: number } | undefined> {
  const counts = LOOKS.map(({ sql }, i) => `count(*) filter (where ${sql})::float8 / count(v) as look${i}`)
  try {
    const query = `select ${counts.join(', ')} from (${values}) sample having count(v) > 0`
    const shares = (await confined.ask<Record<string, number> | null>(query)) ?? {}
    const look = LOOKS.findIndex((each, i) => (shares[`look${i}`] ?? 0) > each.share)
    return look === -1 ? undefined : { what: LOOKS[look]?.what ?? '', share: shares[`look${look}`] ?? 0 }
  } catch (error) {
    throw maskingFailure(`looking at ${nameOf(column)}`, error)
  }
}

/**
 * The text of its values: the same pages each time, of a large table, and of each partition that is here.
 * https://www.postgresql.org/docs/current/sql-select.html
 */
async function sample(client: Client, table: Table, column: Column): Promise<string> {
  const { rows } = await client.query<{ sql: string; pages: number }>(
    `select format('%I.%I', n.nspname, c.relname) as sql, pg_relation_size(c.oid)::float8 / current_setting('block_size')::int as pages
     from (select relid::oid from pg_partition_tree($1) union select $1::oid) parts(relid)
     join pg_class c on c.oid = relid and c.relkind in ('r', 'm') join pg_namespace n on n.oid = c.relnamespace order by 1`,
    [table.oid],
  )
  if (rows.length === 0) return 'select null as v'
  const parts = rows.filter((_, i) => i % Math.ceil(rows.length / MOST_PARTS) === 0)
  const pages = parts.reduce((sum, part) => sum + part.pages, 0)
  const some = ` tablesample system (${((100 * MOST_PAGES) / pages).toFixed(6)}) repeatable (1)`
  const name = escapeIdentifier(column.name)
  // Regular expressions refuse collations by which different texts are equal.
  const value = `select left(${textOf(column, name)}, ${MOST_CHARACTERS}) collate "C" as v`
  return parts
    .map(({ sql }) => `${value} from only ${sql}${pages > MOST_PAGES ? some : ''} where ${name} is not null`)
    .join(' union all ')
}

/** An array's and a document's text holds their parts'; that of bytes would be hexadecimal. */
function textOf({ base, array }: Column, name: string): string {
  if (base !== 'bytea') return `${name}::text`
  const text = (bytes: string): string => `encode(substring(${bytes} from 1 for ${MOST_CHARACTERS}), 'escape')`
  return array ? `(select string_agg(${text('part')}, ' ') from unnest(${name}) part)` : text(`${name}`)
}

/** Not numbers but those that a card's or an account's may be, not dates, not truth values. */
function holdsText({ base }: Column): boolean {
  const others = [
    'bool',
    'int2',
    'int4',
    'float4',
    'float8',
    'money',
    'date',
    'time',
    'timetz',
    'timestamp',
    'timestamptz',
    'interval',
    'uuid',
  ]
  return !others.includes(base)
}

const OF_VIEWS = 'Drop it in a masking file, or mask what it reads.'

/** How many columns one error names. */
const MOST_FINDINGS = 20

/**
 * What becomes of the findings: notes for people, or the end of it.
 *
 * @throws ProvisionError INVALID naming them, with what to write
 */
export function judgeCoverage(mode: 'block' | 'warn' | 'off', findings: readonly Finding[]): string[] {
  const texts = findings.map(describe)
  if (mode !== 'block' || findings.length === 0) return texts.map((text) => `not masked: ${text}`)
  const told = texts.slice(0, MOST_FINDINGS).join('; ')
  const more = texts.length > MOST_FINDINGS ? `; and ${texts.length - MOST_FINDINGS} more` : ''
  const views = new Set(findings.filter(({ ofView }) => ofView).map(({ table }) => table))
  const forViews =
    views.size > 0 ? ` ${[...views].slice(0, 3).join(', ')}: no rule can be about a materialized view. ${OF_VIEWS}` : ''
  throw new ProvisionError('INVALID', `columns that look personal are not masked: ${told}${more}`, {
    hint: `Add a rule for each to retrieval.masking.rules, or, having looked at it, its name to retrieval.masking.coverage.allow, such as "${findings[0]?.table}.${findings[0]?.column}".${forViews}`,
  })
}

function describe({ database, table, column, why, share }: Finding): string {
  const part = share === undefined ? '' : `, ${share < 0.01 ? 'less than 1' : Math.round(share * 100)} % of them`
  return `${table}.${column} of ${database} (${why}${part})`
}
