import { ProvisionError } from '@dblab/provision'
import type { Client } from 'pg'
import { nameOf } from './catalog.ts'
import { type Confined, confine } from './confined.ts'
import { Parameters } from './expression.ts'
import { databaseError } from './failure.ts'
import type { Assignment, Plan } from './plan.ts'

/**
 * Every constant is one of its column's type, before anything is changed.
 *
 * @throws ProvisionError INVALID naming the rule
 */
export async function checkConstants(client: Client, { assignments }: Plan): Promise<void> {
  const constants = assignments.filter(({ rule }) => rule.kind === 'constant')
  if (constants.length === 0) return
  await confine(client, [], (confined) => checkEach(confined, constants))
}

async function checkEach(confined: Confined, constants: readonly Assignment[]): Promise<void> {
  for (const { column, rule } of constants) {
    const parameters = new Parameters()
    try {
      await confined.run(`select ${parameters.add(rule.constant ?? '')}::${column.type}`, parameters)
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
