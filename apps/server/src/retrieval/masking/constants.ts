import { ProvisionError } from '@dblab/provision'
import type { Client } from 'pg'
import { nameOf } from './catalog.ts'
import { databaseError } from './failure.ts'
import type { Plan } from './plan.ts'

/**
 * Every constant is one of its column's type, before anything is changed.
 *
 * @throws ProvisionError INVALID naming the rule
 */
export async function checkConstants(client: Client, { assignments }: Plan): Promise<void> {
  for (const { column, rule } of assignments) {
    if (rule.kind !== 'constant') continue
    try {
      await client.query(`select $1::text::${column.type}`, [rule.constant])
    } catch (error) {
      const cause = databaseError(error)
      if (!cause) throw error
      const text = `${rule.label}: its constant is no ${column.type}, as ${nameOf(column)} is (SQLSTATE ${cause.code})`
      throw new ProvisionError('INVALID', text, {
        hint: 'Write it as in SQL, between quotes where YAML takes it for something else.',
      })
    }
  }
}
