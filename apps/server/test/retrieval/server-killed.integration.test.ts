import { COMMON_POINTS, type FailPoint, RARE_POINTS, RETRIEVAL_POINTS } from '@dblab/provision'
import { isLong, isRoot } from '@dblab/provision/testbed'
import type { Client } from 'pg'
import { describe, expect, test } from 'vitest'
import { createClone, urlOf } from '../support/clones.ts'
import { eventually, type TestLab } from '../support/lab.ts'
import { leftovers } from '../support/leftovers.ts'
import { openSession } from '../support/sql.ts'
import { expectOnly, expectSourceFree } from './aftermath.ts'
import { LiveSource } from './live-source.ts'
import { FILL } from './load.ts'
import { untilAtWork } from './tools-at-work.ts'
import { done, inClone, labOf, lacking, logical, needSource, physical } from './world.ts'

/** In the order in which a run comes to them: a few for every day, the others for the long test. */
const POINTS: Record<'logical' | 'physical', { short: FailPoint[]; long: FailPoint[] }> = {
  logical: {
    short: ['retrieval.dumped'],
    long: [
      'import.published',
      'import.volume-noted',
      'import.volume-made',
      'import.cluster-made',
      'import.postgres-started',
      'retrieval.snapshots-held',
      'import.filled',
      'import.prepared',
      'import.shut-down',
      'retrieval.settings-kept',
      'import.snapshot-noted',
      'import.snapshot-taken',
    ],
  },
  physical: {
    short: ['adopt.replayed'],
    long: [
      'import.snapshot-noted',
      'import.volume-noted',
      'adopt.volume-made',
      'retrieval.copied',
      'adopt.brought',
      'adopt.quarantined',
      'adopt.recovered',
      'adopt.moved-in',
      'adopt.started',
      'adopt.disarmed',
      'adopt.prepared',
      'adopt.shut-down',
      'import.snapshot-taken',
      'import.published',
    ],
  },
}

/** Of a source that is followed, in the order in which its first run comes to them. */
const FOLLOWED = ['retrieval.standby-made', 'retrieval.standby-snapshot-noted', 'adopt.cloned'] as const

async function source(): Promise<LiveSource> {
  const live = await LiveSource.make(needSource())
  await live.query('postgres', 'ALTER ROLE dump REPLICATION', 'CREATE DATABASE shop')
  await live.query('shop', ...FILL)
  return live
}

/** Somebody who works on the oldest generation, and must never notice anything. */
async function openWork(lab: TestLab): Promise<Client> {
  const session = await openSession(urlOf(await createClone(lab, { id: 'bystander' })))
  await session.query('CREATE TEMPORARY TABLE mine (i int)')
  await session.query('BEGIN')
  return session
}

async function goOn(session: Client): Promise<void> {
  await session.query('INSERT INTO mine VALUES (1)')
  const { rows } = await session.query('SELECT count(*)::int AS n FROM accounts')
  expect(rows).toEqual([{ n: 20_000 }])
}

async function newest(lab: TestLab): Promise<string | undefined> {
  await using client = lab.client()
  return (await client.snapshots.list())[0]?.id
}

/** The run that a kill has ended is told as what it was, and the data is what it was. */
async function expectAsBefore(lab: TestLab, before: string | undefined): Promise<void> {
  await using client = lab.client()
  const { status, runs } = await client.retrieval.get()
  expect(status.code).toBe('FAILED')
  expect(runs[0]).toMatchObject({ outcome: 'FAILED', snapshot: '', error: { code: 'INTERRUPTED' } })
  expect(await newest(lab)).toBe(before)
}

/** Its new generation was whole already. */
async function expectDone(lab: TestLab, before: string | undefined): Promise<void> {
  await using client = lab.client()
  const { status, runs } = await client.retrieval.get()
  expect(status.code).toBe('OK')
  const snapshot = await newest(lab)
  expect(snapshot).not.toBe(before)
  expect(runs[0]).toMatchObject({ outcome: 'DONE', snapshot })
}

/** What makes a dump's restoring wait, and not its making. */
const SLOW = [
  `CREATE FUNCTION slow(int) RETURNS boolean LANGUAGE sql AS 'SELECT pg_sleep(4) IS NOT NULL'`,
  'CREATE TABLE slowly (i int)',
  'INSERT INTO slowly VALUES (1)',
  'ALTER TABLE slowly ADD CHECK (slow(i))',
]

test('every step of a run is one at which the server is killed', () => {
  const killed = new Set<string>([
    ...Object.values(POINTS).flatMap(({ short, long }) => [...short, ...long]),
    ...FOLLOWED,
  ])
  const steps = [...COMMON_POINTS, ...RARE_POINTS].filter((point) => /^(import|adopt)\./.test(point))
  expect([...steps, ...RETRIEVAL_POINTS].filter((point) => !killed.has(point))).toEqual([])
})

describe.skipIf(lacking !== '')(`a server that is killed while it brings data in${lacking}`, () => {
  test.each([['physical', physical] as const, ...(isLong ? [['logical', logical] as const] : [])])(
    'as %s keeps what it had, leaves nothing behind, and succeeds the next time',
    async (kind, sourceOf) => {
      const points = [...POINTS[kind].short, ...(isLong ? POINTS[kind].long : [])]
      await using live = await source()
      await using lab = await labOf({ sources: [sourceOf(live.url('shop'))], keep: { count: 1 } })
      await lab.start()
      await done(lab)
      const session = await openWork(lab)
      await lab.terminate()
      for (const point of points) {
        // It strikes in the second run of this process.
        const DBLAB_FAULTS = JSON.stringify({ faults: [{ point, action: 'kill', skip: 1 }] })
        await lab.start([], { DBLAB_FAULTS })
        await using client = lab.client()
        await client.retrieval.waitUntilDone(await client.retrieval.refresh())
        const before = await newest(lab)
        await client.retrieval.refresh()
        expect(await lab.ended(), point).toBe('SIGKILL')
        await expectSourceFree(live, lab)
        await goOn(session)
        await lab.start()
        if (point === 'import.published') await expectDone(lab, before)
        else await expectAsBefore(lab, before)
        await expectOnly(lab, { generations: 2, clones: 1 })
        await goOn(session)
        await lab.terminate()
      }
      await lab.start()
      await lab.fetch('/refresh', { method: 'POST' })
      await done(lab)
      await session.query('COMMIT')
      await session.end()
      expect(await inClone(lab, 'shop', (db) => db.query('SELECT count(*)::int AS n FROM accounts'))).toMatchObject({
        rows: [{ n: 20_000 }],
      })
      expect(lab.output).not.toMatch(/^\S+ error /m)
    },
    isLong ? 900_000 : 300_000,
  )

  test.skipIf(!isRoot)(
    'as it begins to follow (root only: a pool whose snapshots are atomic) begins again, and follows once',
    async () => {
      await using live = await source()
      await using lab = await labOf({ sources: [physical(live.url('shop'), { follow: true })] })
      for (const point of FOLLOWED) {
        await lab.start([], { DBLAB_FAULTS: JSON.stringify({ faults: [{ point, action: 'kill' }] }) })
        expect(await lab.ended(), point).toBe('SIGKILL')
      }
      await lab.start()
      await done(lab)
      expect(await inClone(lab, 'shop', (db) => db.query('SELECT count(*)::int AS n FROM accounts'))).toMatchObject({
        rows: [{ n: 20_000 }],
      })
      expect(await live.query('postgres', 'SELECT slot_name FROM pg_replication_slots')).toEqual([])
      await expect
        .poll(() => live.query('postgres', 'SELECT state FROM pg_stat_replication'), { timeout: 20_000 })
        .toEqual([{ state: 'streaming' }])
      await using client = lab.client()
      const { runs } = await client.retrieval.get()
      expect(runs.map(({ outcome, error }) => error?.code ?? outcome)).toEqual([
        'DONE',
        ...FOLLOWED.map(() => 'INTERRUPTED'),
      ])
      const left = async () => {
        const { volumes, snapshots } = await leftovers(lab.directory)
        return { volumes: volumes.length, snapshots: snapshots.length }
      }
      // The standby and the generation, which was cloned from a snapshot of the standby.
      await expect.poll(left, { timeout: 20_000 }).toEqual({ volumes: 2, snapshots: 2 })
    },
  )

  test.each([
    ['pg_restore', logical, {}] as const,
    ...(isLong ? [['pg_basebackup', physical, { maxRate: '4MB' }] as const] : []),
  ])('takes %s with it, whole', async (tool, sourceOf, more) => {
    await using live = await source()
    await live.query('shop', ...SLOW)
    await using lab = await labOf({ sources: [sourceOf(live.url('shop'), more)] })
    await lab.start()
    // The other receives the log, or restores another table.
    await eventually('it has its parts', async () => (await untilAtWork(lab, tool)).length >= 2, 60_000)
    await lab.kill()
    await expectSourceFree(live, lab)
    await lab.start()
    await using client = lab.client()
    expect((await client.retrieval.get()).runs[0]).toMatchObject({ outcome: 'FAILED', error: { code: 'INTERRUPTED' } })
    // There is no data yet, so the start has begun again.
    await done(lab)
    await expectOnly(lab, { generations: 1, clones: 0 })
  })
})
