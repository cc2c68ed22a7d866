import { setTimeout as delay } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { createClone, urlOf } from '../support/clones.ts'
import { eventually, TestLab } from '../support/lab.ts'
import { query } from '../support/sql.ts'

/** In seconds: each database has its turn so often, on top of which it may begin that much later. */
const NAPTIME = 1

test('autovacuum finds nothing to do in a new clone, so it stays thin, and a full pool does not end it', async () => {
  await using lab = await TestLab.make({
    driver: 'copy',
    config: { postgres: { settings: { autovacuum_naptime: NAPTIME } } },
  })
  await lab.start()
  const [quiet, busy] = [urlOf(await createClone(lab)), urlOf(await createClone(lab))]
  await query(busy, 'CREATE TABLE filled AS SELECT generate_series(1, 1000)')
  await eventually('autovacuum has been at work', async () => (await worked(busy)).includes('filled'))
  // Nothing tells that it was there and did nothing.
  await delay(4 * NAPTIME * 1000)
  for (const database of ['shop', 'postgres']) expect(await worked(quiet, database)).toEqual([])
})

/** On which tables it has been, those of the system among them. */
async function worked(clone: string, database = 'shop'): Promise<string[]> {
  const url = new URL(clone)
  url.pathname = `/${database}`
  const sql = 'SELECT relname AS name FROM pg_stat_all_tables WHERE autovacuum_count + autoanalyze_count > 0'
  return (await query<{ name: string }>(url.href, sql)).map(({ name }) => name)
}
