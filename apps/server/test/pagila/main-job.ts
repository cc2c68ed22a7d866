import type { CloneHandle } from '@dblab/sdk'
import { expect } from 'vitest'
import { copiedRows } from '../support/dump-rows.ts'
import type { TestLab } from '../support/lab.ts'
import { pagilaFile } from '../support/pagila.ts'
import { query } from '../support/sql.ts'

type Counts = Map<string, number>

/** Rows of every table that the dump brings data for, as a clone has them. */
async function countsOf(clone: CloneHandle, tables: Iterable<string>): Promise<Counts> {
  const parts = [...tables].map((table) => `SELECT '${table}' AS name, count(*)::int AS n FROM ONLY ${table}`)
  const rows = await query<{ name: string; n: number }>(clone.connectionString(), parts.join(' UNION ALL '))
  return new Map(rows.map(({ name, n }) => [name, n]))
}

/**
 * What the product is for, from end to end: data imported, a snapshot taken, three clones that are each written to, none of which the
 * others or the snapshot notice, and a reset that brings back the rows.
 */
export async function doTheMainJob(lab: TestLab): Promise<void> {
  const expected = await copiedRows(pagilaFile)
  expect(expected.size).toBeGreaterThan(20)
  await lab.start(['--import', pagilaFile])
  await using client = lab.client()
  const [imported] = await client.snapshots.list()
  expect(imported).toMatchObject({ database: 'pagila', cloneId: '' })
  const taken = await client.snapshots.create({ message: 'of the imported data' })
  expect(taken.timestamp).toBe(imported?.timestamp)

  const create = (name: string) =>
    client.clones.create({ name, snapshot: taken.id, db: { username: name, password: `${name}'s` } })
  const clones = await Promise.all(['ann', 'ben', 'cy'].map(create))
  const [ann, ben, cy] = clones
  if (!ann || !ben || !cy) throw new Error('three clones were made')
  for (const clone of clones) expect(await countsOf(clone, expected.keys())).toEqual(expected)

  await query(ann.connectionString(), 'DELETE FROM payment; DELETE FROM rental WHERE rental_id % 2 = 0')
  await query(ben.connectionString(), `INSERT INTO actor (first_name, last_name) VALUES ('BEN', 'WAS HERE')`)
  await query(
    ben.connectionString(),
    'ALTER TABLE film ADD COLUMN rated_by_ben int; CREATE TABLE of_ben AS SELECT 1 AS one',
  )
  await query(cy.connectionString(), 'DROP TABLE film_category CASCADE; TRUNCATE inventory CASCADE')

  expect((await countsOf(ann, ['public.payment'])).get('public.payment')).toBe(0)
  expect((await countsOf(ben, ['public.actor'])).get('public.actor')).toBe((expected.get('public.actor') ?? 0) + 1)
  expect((await countsOf(ben, ['public.rental'])).get('public.rental')).toBe(expected.get('public.rental'))
  expect((await countsOf(cy, ['public.actor'])).get('public.actor')).toBe(expected.get('public.actor'))
  expect(await query(ann.connectionString(), `SELECT to_regclass('of_ben')::text AS there`)).toEqual([{ there: null }])
  await expect(query(cy.connectionString(), 'SELECT FROM film_category')).rejects.toMatchObject({ code: '42P01' })

  const fresh = await create('dee')
  expect(await countsOf(fresh, expected.keys())).toEqual(expected)
  for (const clone of clones) {
    const { port } = clone.db
    await clone.reset()
    expect(clone.db.port).toBe(port)
    expect(await countsOf(clone, expected.keys())).toEqual(expected)
  }
  await Promise.all([...clones, fresh].map((clone) => clone.delete()))
  await client.snapshots.delete(taken.id)
  expect((await client.snapshots.list()).map(({ id }) => id)).toEqual([imported?.id])
}
