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
  const logged = async (url: string) =>
    (await query<{ at: string }>(url, 'SELECT pg_current_wal_insert_lsn() AS at'))[0]?.at
  const before = [await logged(quiet), await logged(busy)]
  await query(busy, 'CREATE TABLE filled AS SELECT generate_series(1, 1000)')
  await eventually('autovacuum has been at work', async () => {
    const sql = `SELECT FROM pg_stat_user_tables WHERE relname = 'filled' AND last_autoanalyze IS NOT NULL`
    return (await query(busy, sql)).length === 1
  })
  // Nothing tells that it was there and did nothing.
  await delay(4 * NAPTIME * 1000)
  expect(await logged(quiet)).toBe(before[0])
  expect(await logged(busy)).not.toBe(before[1])
})
