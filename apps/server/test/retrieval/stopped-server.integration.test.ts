import { setTimeout as delay } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import { eventually } from '../support/lab.ts'
import { LiveSource } from './live-source.ts'
import { FILL } from './load.ts'
import { untilAtWork } from './tools-at-work.ts'
import { ended, labOf, lacking, logical, needSource } from './world.ts'

/** More tables, with long names, than pg_dump can tell of without somebody who reads it: a pipe takes 64 KiB (pipe(7)). */
const MANY = `DO $$ BEGIN FOR i IN 1..900 LOOP
  EXECUTE format('CREATE TABLE %I (i int)', rpad('t' || i || '_', 63, 'x'));
END LOOP; END $$`

describe.skipIf(lacking !== '')(`a server that is stopped in the middle of a dump${lacking}`, () => {
  test('holds no snapshot, and no lock, on the source for longer than is allowed', async () => {
    await using live = await LiveSource.make(needSource(), { settings: { max_locks_per_transaction: '256' } })
    for (const database of ['shop', 'stock']) await live.query('postgres', `CREATE DATABASE ${database}`)
    for (const database of ['shop', 'stock']) await live.query(database, ...FILL)
    await live.query('shop', MANY)
    const sources = [logical(live.url('shop'), { databases: ['shop', 'stock'], maxSnapshotMinutes: 0.2 })]
    await using lab = await labOf({ attempts: 1, sources })
    const gate = live.client('shop')
    await gate.connect()
    await gate.query('BEGIN; LOCK accounts IN ACCESS EXCLUSIVE MODE')
    await lab.start()
    await untilAtWork(lab, 'pg_dump')
    process.kill(lab.pid, 'SIGSTOP')
    try {
      await gate.query('COMMIT')
      await gate.end()
      await eventually('pg_dump waits for its reader', async () => (await waiting(live)).length > 0)
      // Both holders, and pg_dump with its workers.
      expect((await live.sessions()).length).toBeGreaterThanOrEqual(4)
      let oldest = 0
      await eventually(
        'the source is free',
        async () => {
          const sessions = await live.sessions()
          for (const { age } of sessions) oldest = Math.max(oldest, age)
          return sessions.length === 0
        },
        30_000,
      )
      expect(oldest).toBeLessThan(17)
    } finally {
      process.kill(lab.pid, 'SIGCONT')
    }
    const run = await ended(lab)
    expect(run).toMatchObject({ outcome: 'FAILED', error: { code: 'TIMEOUT' } })
    await delay(1000)
    expect(await live.sessions()).toEqual([])
  })
})

/** Sessions of pg_dump's that have had no work for a second. */
function waiting(live: LiveSource): Promise<object[]> {
  return live.query(
    'postgres',
    `SELECT FROM pg_stat_activity WHERE usename = 'dump' AND datname = 'shop' AND state = 'idle in transaction'
       AND query !~ 'idle_in_transaction_session_timeout|pg_export_snapshot|pg_stat' AND state_change < clock_timestamp() - interval '1 s'`,
  )
}
