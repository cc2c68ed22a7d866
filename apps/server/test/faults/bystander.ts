import { expect } from 'vitest'
import { createClone, urlOf } from '../support/clones.ts'
import type { TestLab } from '../support/lab.ts'
import { openSession, query } from '../support/sql.ts'

/** A clone that has nothing to do with what goes wrong, in the middle of a transaction. */
export async function bystander(lab: TestLab) {
  const clone = await createClone(lab, { id: 'bystander' })
  const url = urlOf(clone)
  await query(url, 'CREATE TABLE mine (n int)')
  const session = await openSession(url)
  await session.query('BEGIN')
  let rows = 0
  return {
    /** It has noticed nothing. */
    async goesOn(): Promise<void> {
      await session.query('INSERT INTO mine VALUES (1)')
      rows++
      expect((await session.query('SELECT count(*)::int AS n FROM mine')).rows).toEqual([{ n: rows }])
    },
    /** Nor anything of what it did was lost. */
    async end(): Promise<void> {
      await this.goesOn()
      await session.query('COMMIT')
      await session.end()
      expect(await query(url, 'SELECT count(*)::int AS n FROM mine')).toEqual([{ n: rows }])
    },
  }
}
