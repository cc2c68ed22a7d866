import { describe, expect, test } from 'vitest'
import { createClone, urlOf } from '../support/clones.ts'
import { eventually, type TestLab } from '../support/lab.ts'
import { leftovers } from '../support/leftovers.ts'
import { openSession } from '../support/sql.ts'
import { expectOnly, expectSourceFree } from './aftermath.ts'
import { LiveSource } from './live-source.ts'
import { FILL, load } from './load.ts'
import { SLOW_TO_RESTORE, untilAtWork } from './tools-at-work.ts'
import { done, ended, labOf, lacking, logical, needSource, physical } from './world.ts'

async function source(): Promise<LiveSource> {
  const live = await LiveSource.make(needSource(), { settings: { wal_keep_size: '1GB' } })
  await live.query('postgres', 'ALTER ROLE dump REPLICATION', 'CREATE DATABASE shop')
  await live.query('shop', ...FILL)
  return live
}

/** Kills the Postgres of a generation that is being made, once it runs. No clone may run. */
async function killPostgres(lab: TestLab): Promise<void> {
  await eventually(
    'a Postgres of the new generation runs, and is killed',
    async () => {
      const [line] = (await leftovers(lab.directory)).servers
      if (line === undefined) return false
      try {
        process.kill(Number.parseInt(line, 10), 'SIGKILL')
        return true
      } catch (error) {
        // One that only looked whether it can start.
        if (error instanceof Error && 'code' in error && error.code === 'ESRCH') return false
        throw error
      }
    },
    60_000,
  )
}

/** The generation before is there, is used, and is the only one. */
async function expectGoesOn(lab: TestLab, live: LiveSource): Promise<void> {
  await expectSourceFree(live, lab)
  const clone = await createClone(lab, { id: 'before' })
  const session = await openSession(urlOf(clone))
  expect((await session.query('SELECT count(*)::int AS n FROM accounts')).rows).toEqual([{ n: 20_000 }])
  await session.end()
  await expectOnly(lab, { generations: 1, clones: 1 })
}

describe.skipIf(lacking !== '')(`a run that loses one of its programs to a kill${lacking}`, () => {
  test('begins again where that was pg_basebackup', async () => {
    await using live = await source()
    await using lab = await labOf({ sources: [physical(live.url('shop'), { maxRate: '8MB' })] })
    await lab.start()
    const [leader = 0] = await untilAtWork(lab, 'pg_basebackup')
    process.kill(leader, 'SIGKILL')
    expect(await done(lab)).toMatchObject({
      attempt: 2,
      error: { code: 'UNAVAILABLE', message: expect.stringContaining('killed') },
    })
    await expectGoesOn(lab, live)
  })

  test('begins again where that was the part of pg_basebackup that receives the log', async () => {
    await using live = await source()
    await using lab = await labOf({ sources: [physical(live.url('shop'), { maxRate: '8MB' })] })
    await lab.start()
    await eventually('it has two parts', async () => (await untilAtWork(lab, 'pg_basebackup')).length === 2)
    const [, receiver = 0] = await untilAtWork(lab, 'pg_basebackup')
    process.kill(receiver, 'SIGKILL')
    const run = await ended(lab)
    expect([run.outcome, run.error?.code]).toEqual(['DONE', 'UNAVAILABLE'])
    await expectGoesOn(lab, live)
  })

  test('begins again where that was the Postgres that a dump is restored into', async () => {
    await using live = await source()
    await live.query('shop', ...SLOW_TO_RESTORE)
    await using lab = await labOf({ sources: [logical(live.url('shop'))] })
    await lab.start()
    // One alone only lists what is in the dump.
    await eventually('it restores', async () => (await untilAtWork(lab, 'pg_restore')).length >= 2, 60_000)
    await killPostgres(lab)
    const run = await ended(lab)
    expect([run.outcome, run.attempt, run.error?.code], JSON.stringify(run)).toEqual(['DONE', 2, 'UNAVAILABLE'])
    await expectGoesOn(lab, live)
  })

  test('says so where that was the Postgres that recovers a copy, and succeeds the next time', async () => {
    await using live = await source()
    await using lab = await labOf({ sources: [physical(live.url('shop'))], keep: { count: 1 } })
    await lab.start()
    await done(lab)
    {
      // So that there is something to replay.
      await using _load = load(live, 'shop')
      await using slow = await labOf({ attempts: 1, sources: [physical(live.url('shop'), { maxRate: '4MB' })] })
      // The first that runs on the copy, for long enough to be met.
      const faults = [{ point: 'postgres.process-noted', action: 'delay', delayMs: 5000 }]
      await slow.start([], { DBLAB_FAULTS: JSON.stringify({ faults }) })
      await killPostgres(slow)
      const run = await ended(slow)
      expect(run).toMatchObject({ outcome: 'FAILED', progress: { step: 'RECOVER' } })
      expect(run.error).toMatchObject({ code: 'FAILED', message: expect.stringMatching(/^Postgres ended while it/) })
      await expectOnly(slow, { generations: 0, clones: 0 })
      await slow.fetch('/refresh', { method: 'POST' })
      await done(slow)
    }
    await expectGoesOn(lab, live)
  })
})
