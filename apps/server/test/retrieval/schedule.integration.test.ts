import { describe, expect, test } from 'vitest'
import { People } from '../access/people.ts'
import { eventually } from '../support/lab.ts'
import { DUMP_PASSWORD, LiveSource } from './live-source.ts'
import { done, ended, inClone, labOf, lacking, logical, needSource } from './world.ts'

async function source(): Promise<LiveSource> {
  const live = await LiveSource.make(needSource())
  await live.query('postgres', 'CREATE DATABASE shop')
  await live.query('shop', 'CREATE TABLE marks AS SELECT 1 AS number')
  return live
}

/** Nothing listens there. */
const NOBODY = 'postgresql://dump@127.0.0.1:1/shop'

describe.skipIf(lacking !== '')(`refreshes that nobody asks for${lacking}`, () => {
  test('come when they are due, one at a time, and what is older than some days goes', async () => {
    await using live = await source()
    await using lab = await labOf({
      sources: [logical(live.url('shop'))],
      schedule: '*/2 * * * * *',
      // Two seconds.
      keep: { count: 10, days: 2 / 86_400 },
    })
    await lab.start()
    await using client = lab.client()
    const scheduled = async () => (await client.retrieval.get()).runs.filter(({ trigger }) => trigger === 'SCHEDULE')
    await eventually('three are done', async () => (await scheduled()).length >= 3, 60_000)
    const { runs, schedule } = await client.retrieval.get()
    expect(schedule).toBe('*/2 * * * * *')
    expect(runs.map(({ outcome }) => outcome)).toEqual(runs.map(() => 'DONE'))
    for (const [index, { startedAt }] of runs.entries()) {
      const before = runs[index + 1]
      if (before) expect(startedAt >= before.endedAt).toBe(true)
    }
    // The newest, and those of the last two seconds.
    expect((await client.snapshots.list()).length).toBeLessThan(runs.length)
  })

  test('are due in the time zone that is configured', async () => {
    await using lab = await labOf({
      attempts: 1,
      sources: [logical(NOBODY)],
      schedule: '30 3 * * *',
      // Fourteen hours ahead, the whole year.
      timeZone: 'Pacific/Kiritimati',
    })
    await lab.start()
    await using client = lab.client()
    const { nextRunAt, timeZone } = await client.retrieval.get()
    expect(timeZone).toBe('Pacific/Kiritimati')
    expect(nextRunAt).toMatch(/T13:30:00\.000Z$/)
    const ahead = Date.parse(nextRunAt) - Date.now()
    expect(ahead).toBeGreaterThan(0)
    expect(ahead).toBeLessThanOrEqual(86_400_000)
  })

  test('are missed where they fail, and where the data grows old: the lab says so', async () => {
    await using live = await source()
    await using lab = await labOf({
      attempts: 1,
      // A second.
      maxAgeHours: 1 / 3600,
      sources: [logical(live.url('shop'))],
    })
    await lab.start()
    await done(lab)
    await using client = lab.client()
    const codes = async () => (await client.status()).warnings.map(({ code }) => code)
    await eventually('it is old', async () => (await codes()).includes('DATA_OLD'))
    expect(await codes()).not.toContain('RETRIEVAL_FAILED')
    await live.stop()
    await client.retrieval.refresh()
    expect(await ended(lab)).toMatchObject({ outcome: 'FAILED', error: { code: 'UNAVAILABLE' } })
    expect(await codes()).toEqual(expect.arrayContaining(['DATA_OLD', 'RETRIEVAL_FAILED']))
    const { status, warnings } = await client.status()
    expect(status.code).toBe('WARNING')
    for (const { hint } of warnings) expect(hint).not.toBe('')
  })
})

describe.skipIf(lacking !== '')(`a refresh${lacking}`, () => {
  test('is for admins to begin and to stop, and for everybody to look at', async () => {
    await using live = await source()
    await using lab = await labOf({ sources: [logical(live.url('shop'))] })
    await lab.start()
    await done(lab)
    const people = await People.of(lab)
    for (const role of ['viewer', 'member'] as const) {
      const person = await people.make(`a-${role}`, role)
      const seen = await person.call<{ runs: unknown[] }>('GET', '/retrieval')
      expect([seen.status, seen.body.runs.length]).toEqual([200, 1])
      await person.refused('FORBIDDEN', 'POST', '/refresh')
      await person.refused('FORBIDDEN', 'DELETE', '/refresh')
    }
    const admin = await people.make('an-admin', 'admin')
    await admin.refused('REFRESH_NOT_RUNNING', 'DELETE', '/refresh')
    expect((await admin.call('POST', '/refresh')).status).toBe(202)
    await done(lab)
  })

  test('of a source that is named at the start needs no configuration, and its password comes from the environment', async () => {
    await using live = await source()
    await using lab = await labOf({})
    await lab.start(['--source', live.url('shop')], { PGPASSWORD: DUMP_PASSWORD })
    expect(await done(lab)).toMatchObject({ trigger: 'REQUEST' })
    const { rows } = await inClone(lab, 'shop', (db) => db.query('SELECT number FROM marks'))
    expect(rows).toEqual([{ number: 1 }])
    // It was named for that start: without it, the data stays.
    await lab.terminate()
    await lab.start()
    await using client = lab.client()
    expect((await client.retrieval.get()).status.code).toBe('NOT_CONFIGURED')
    expect(await client.snapshots.list()).toHaveLength(1)
    expect(lab.output).not.toContain(DUMP_PASSWORD)
  })
})
