import { ProvisionError } from '@dblab/provision'
import { type Catalog, type Column, keyOf, nameOf } from './catalog.ts'
import { misfit } from './fit.ts'
import { joinKeys } from './keys.ts'
import type { Rule } from './rule.ts'

/** What becomes of one column. */
export interface Assignment {
  column: Column
  rule: Rule
  /** Values that differ must stay so. */
  unique: boolean
  /** The most characters that fit here, and in every column that this one is joined to. */
  length: number | undefined
  /** Upper and lower case are one value, here or in a column that this one is joined to. */
  folded: boolean
}

export interface Plan {
  assignments: Assignment[]
  matched: Set<Rule>
  notes: string[]
}

/**
 * Which columns of a database the rules are about, with those that foreign keys join to them.
 *
 * @throws ProvisionError INVALID naming every rule that can't work, and why
 */
export function planRules(database: string, catalog: Catalog, rules: readonly Rule[]): Plan {
  const problems: string[] = []
  const notes: string[] = []
  const matched = new Set<Rule>()
  const chosen = new Map<Column, Rule>()
  const scopes = rules.filter((rule) => rule.database(database)).map((rule) => scopeOf(rule, catalog))
  for (const column of catalog.columns) {
    const about = scopes.filter((scope) => scope.tables.has(column.table.oid) && scope.rule.column(column.name))
    for (const [i, { rule }] of about.entries()) {
      const problem = unfit(column, rule)
      // Also one that a more particular one before it leaves nothing to: that is no mistake.
      if (problem === undefined) matched.add(rule)
      if (i > 0) continue
      if (problem) problems.push(`${rule.label}: ${nameOf(column)} ${problem}`)
      else if (problem === undefined && column.table.kind === 'r') chosen.set(column, rule)
    }
  }
  const joined = joinKeys(catalog, chosen)
  problems.push(...joined.problems)
  notes.push(...joined.notes)
  const assignments = joined.assignments
  for (const assignment of assignments) {
    const problem = misfit(assignment)
    if (problem) problems.push(`${assignment.rule.label}: ${nameOf(assignment.column)} ${problem}`)
  }
  refuse(database, problems)
  return { assignments, matched, notes }
}

interface Scope {
  rule: Rule
  tables: Set<number>
}

/** The tables that a rule names, what inherits from them, and every table of a tree of partitions of which it names one. */
function scopeOf(rule: Rule, catalog: Catalog): Scope {
  const all = [...catalog.tables.values()]
  const named = all.filter(({ schema, name }) => rule.table(schema, name))
  const [oids, roots] = [new Set(named.map(({ oid }) => oid)), new Set(named.map(({ root }) => root))]
  const meant = all.filter((table) => roots.has(table.root) || table.ancestors.some((oid) => oids.has(oid)))
  return { rule, tables: new Set(meant.map(({ oid }) => oid)) }
}

/** Why no rule of any kind can be about this column; '' where the rule did not mean it. */
function unfit({ table, generated, partitionKey }: Column, rule: Rule): string | undefined {
  if (table.kind !== 'r' && table.kind !== 'p') {
    const own = rule.exactTable && rule.table(table.schema, table.name)
    return own ? `is of a ${KIND_NAMES[table.kind]}: mask the table that its rows come from` : ''
  }
  if (generated) return rule.exactColumn ? 'is generated: mask the columns that it is made of' : ''
  if (partitionKey) return IN_PARTITION_KEY
  return undefined
}

export const IN_PARTITION_KEY = "decides which partition a row is in, and can't be changed"

const KIND_NAMES = { v: 'view', m: 'materialized view', f: 'foreign table' } as const

/** How many problems one error names. */
const MOST_PROBLEMS = 10

function refuse(database: string, problems: readonly string[]): void {
  if (problems.length === 0) return
  const told = [...new Set(problems)].slice(0, MOST_PROBLEMS)
  const more = problems.length > told.length ? ', and more' : ''
  throw new ProvisionError('INVALID', `the database ${database} can't be masked so: ${told.join('; ')}${more}`, {
    hint: 'Change these rules of retrieval.masking.rules.',
  })
}

/** The columns of one table or partition, in one UPDATE. */
export function byTable(assignments: readonly Assignment[]): Assignment[][] {
  return [...Map.groupBy(assignments, ({ column }) => column.table.oid).values()]
}

/** True for a column that the plan masks, in whichever partition. */
export function coveredKeys(plan: Plan): Set<string> {
  return new Set(plan.assignments.map(({ column }) => keyOf(column.table.root, column.name)))
}
