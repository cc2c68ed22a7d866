import { ProvisionError } from '@dblab/provision'
import { escapeIdentifier } from 'pg'
import { type Catalog, type ForeignKey, keyOf } from './catalog.ts'
import type { Confined } from './confined.ts'
import { coveredKeys, type Plan } from './plan.ts'

/**
 * Every row still has the one that it refers to, for each foreign key of which a column was masked. Those that are NOT VALID in the data are
 * left out.
 *
 * @throws ProvisionError FAILED naming the foreign key
 */
export async function verifyForeignKeys(confined: Confined, catalog: Catalog, plan: Plan): Promise<void> {
  const masked = coveredKeys(plan)
  for (const key of catalog.foreignKeys) {
    const touched =
      key.childColumns.some((name) => masked.has(keyOf(key.child, name))) ||
      key.parentColumns.some((name) => masked.has(keyOf(key.parent, name)))
    if (!touched || !key.validated) continue
    const { broken } = await confined.ask<{ broken: boolean }>(violation(catalog, key))
    if (broken === false) continue
    const table = catalog.tables.get(key.childTable)
    const text = `masking left rows of ${table?.schema}.${table?.name} without the ones that its foreign key ${key.name} refers to`
    throw new ProvisionError('FAILED', text, { hint: 'Use hash on the column that it refers to: the others follow.' })
  }
}

/** As the check of ALTER TABLE … VALIDATE CONSTRAINT does it (RI_Initial_Check in src/backend/utils/adt/ri_triggers.c). */
function violation(catalog: Catalog, key: ForeignKey): string {
  const child = key.childColumns.map((name) => `c.${escapeIdentifier(name)}`)
  const pairs = key.parentColumns.map((name, i) => `p.${escapeIdentifier(name)} ${key.operators[i]} ${child[i]}`)
  const filled = child.map((column) => `${column} is not null`)
  const [from, to] = [source(catalog, key.childTable), source(catalog, key.parentTable)]
  const orphaned = `${filled.join(' and ')} and not exists (select from ${to} p where ${pairs.join(' and ')})`
  const halves = key.full
    ? `select from ${from} c where (${filled.join(' or ')}) and not (${filled.join(' and ')})`
    : undefined
  const broken = [`select from ${from} c where ${orphaned}`, ...(halves ? [halves] : [])]
  return `select ${broken.map((sql) => `exists (${sql})`).join(' or ')} as broken`
}

/** A partitioned table with its partitions, any other without what inherits from it. */
function source({ tables }: Catalog, oid: number): string {
  const table = tables.get(oid)
  return table?.kind === 'p' ? table.sql : `only ${table?.sql}`
}
