import { type Catalog, type Column, keyOf, nameOf } from './catalog.ts'
import { type Assignment, IN_PARTITION_KEY } from './plan.ts'
import { isKeyed, type Rule } from './rule.ts'

interface Joined {
  assignments: Assignment[]
  problems: string[]
  notes: string[]
}

/**
 * Columns that foreign keys join hold the same values, and must do so when they are masked: a keyed rule on one of them becomes one of all.
 * What would tear them apart is a problem.
 */
export function joinKeys(catalog: Catalog, chosen: ReadonlyMap<Column, Rule>): Joined {
  const joined: Joined = { assignments: [], problems: temporalProblems(catalog, chosen), notes: [] }
  const parents = new Set(
    catalog.foreignKeys.flatMap((key) => key.parentColumns.map((name) => keyOf(key.parent, name))),
  )
  const groupOf = groups(catalog)
  const stored = catalog.columns.filter((column) => column.table.kind === 'r')
  const members = Map.groupBy(stored, (column) => groupOf(keyOf(column.table.root, column.name)))
  for (const group of members.values()) assign(group, chosen, parents, joined)
  return joined
}

function assign(
  group: readonly Column[],
  chosen: ReadonlyMap<Column, Rule>,
  parents: ReadonlySet<string>,
  { assignments, problems, notes }: Joined,
): void {
  const given = group.flatMap((column) => chosen.get(column) ?? [])
  const keyed = given.find(isKeyed)
  const keys = new Set(group.map((column) => keyOf(column.table.root, column.name)))
  const common = {
    unique: group.some((column) => column.unique !== undefined),
    length: shortest(group),
    folded: group.some((column) => column.base === 'citext'),
  }
  if (keyed && keys.size > 1) problems.push(...families(group, keyed))
  const told = new Set<string>()
  for (const column of group) {
    const key = keyOf(column.table.root, column.name)
    const rule = chosen.get(column) ?? keyed
    if (!rule) continue
    const problem = keys.size > 1 ? conflict(column, rule, keyed, parents.has(key)) : undefined
    if (problem) problems.push(`${rule.label}: ${nameOf(column)} ${problem}`)
    if (!chosen.has(column) && !told.has(key)) {
      notes.push(`${nameOf(column)} is masked as by ${rule.label}, since a foreign key joins them`)
    }
    told.add(key)
    const own = isKeyed(rule) ? common : { unique: column.unique !== undefined, length: column.length, folded: false }
    assignments.push({ column, rule, ...own })
  }
}

/** Why this rule would leave rows without the ones that they refer to. */
function conflict(column: Column, rule: Rule, keyed: Rule | undefined, isParent: boolean): string | undefined {
  if (keyed && isKeyed(rule)) {
    const same = rule.kind === keyed.kind && rule.fake === keyed.fake
    return same ? undefined : `is joined by a foreign key to a column that ${keyed.label} masks in another way`
  }
  if (isParent && (rule.kind === 'null' || rule.kind === 'constant')) {
    return 'is what foreign keys refer to: use hash, which keeps their columns with it'
  }
  if (keyed && (rule.kind === 'shuffle' || rule.kind === 'constant')) {
    return `refers to a column that ${keyed.label} masks: leave it out, and it follows, or use null`
  }
  if (column.partitionKey) return IN_PARTITION_KEY
  if (column.generated) return 'is generated, and a foreign key joins it to a column that is masked'
  return undefined
}

function families(group: readonly Column[], rule: Rule): string[] {
  const found = new Set(group.map(familyOf))
  if (found.size === 1) return []
  const columns = group.map((column) => `${nameOf(column)} ${column.type}`).join(', ')
  return [`${rule.label}: foreign keys join columns whose types are masked in different ways: ${columns}`]
}

const FAMILIES: Readonly<Record<string, string>> = {
  text: 'text',
  varchar: 'text',
  bpchar: 'text',
  citext: 'text',
  int4: 'integer',
  int8: 'integer',
}

function familyOf({ base, array }: Column): string {
  return `${FAMILIES[base] ?? base}${array ? '[]' : ''}`
}

function shortest(group: readonly Column[]): number | undefined {
  const lengths = group.flatMap(({ length }) => length ?? [])
  return lengths.length === 0 ? undefined : Math.min(...lengths)
}

function temporalProblems(catalog: Catalog, chosen: ReadonlyMap<Column, Rule>): string[] {
  const keys = new Map([...chosen].map(([column, rule]) => [keyOf(column.table.root, column.name), rule]))
  return catalog.foreignKeys.flatMap(({ temporal, name, ...key }) => {
    if (!temporal) return []
    const columns = [
      ...key.childColumns.map((column) => keyOf(key.child, column)),
      ...key.parentColumns.map((column) => keyOf(key.parent, column)),
    ]
    const rule = columns.map((column) => keys.get(column)).find((each) => each !== undefined)
    return rule ? [`${rule.label}: the foreign key ${name} is one of periods, which masking does not keep`] : []
  })
}

/** Union-find over the pairs of all foreign keys. */
function groups({ foreignKeys }: Catalog): (key: string) => string {
  const above = new Map<string, string>()
  const top = (key: string): string => {
    let at = key
    for (let next = above.get(at); next !== undefined; next = above.get(at)) at = next
    return at
  }
  for (const { child, childColumns, parent, parentColumns } of foreignKeys) {
    childColumns.forEach((name, i) => {
      const [from, to] = [top(keyOf(child, name)), top(keyOf(parent, parentColumns[i] ?? ''))]
      if (from !== to) above.set(from, to)
    })
  }
  return top
}
