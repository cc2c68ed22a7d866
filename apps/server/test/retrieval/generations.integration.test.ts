import type { Clone } from '@dblab/sdk'
import { Client } from 'pg'
import { describe, expect, test } from 'vitest'
import { eventually, type TestLab } from '../support/lab.ts'
import { expectOnly } from './aftermath.ts'
import { LiveSource } from './live-source.ts'
import { done, labOf, lacking, logical, needSource } from './world.ts'

/** Somebody at work in a clone: in a transaction, with a temporary table and a cursor. */
interface Worker {
  clone: Clone
  session: Client
  /** What the source held when its data was taken. */
  generation: number
  rows: number
}

async function newWorker(lab: TestLab, generation: number): Promise<Worker> {
  await using stack = new AsyncDisposableStack()
  const api = stack.use(lab.client())
  const clone = await api.clones.create({})
  const session = new Client({ connectionString: clone.connectionString() })
  await session.connect()
  await session.query('CREATE TEMPORARY TABLE mine (i int)')
  await session.query('BEGIN')
  await session.query('DECLARE slowly CURSOR FOR SELECT i FROM filling ORDER BY i')
  return { clone, session, generation, rows: 0 }
}

async function work(worker: Worker): Promise<void> {
  const { session, generation } = worker
  await session.query('INSERT INTO mine VALUES (1)')
  await session.query('INSERT INTO filling VALUES (-1)')
  worker.rows++
  const { rows } = await session.query(
    'SELECT max(number) AS generation, (SELECT count(*)::int FROM mine) AS mine FROM marks',
  )
  expect(rows).toEqual([{ generation, mine: worker.rows }])
  expect((await session.query('FETCH NEXT FROM slowly')).rows).toEqual([{ i: worker.rows }])
}

async function listed(lab: TestLab): Promise<string[]> {
  await using api = lab.client()
  return (await api.snapshots.list()).map(({ id }) => id)
}

/** With what was deleted last; what is let go of otherwise waits for the next look after it, and no longer. */
async function goes(lab: TestLab, generation: string | undefined, timeoutMs = 10_000): Promise<void> {
  await eventually('it goes', async () => !(await listed(lab)).includes(generation ?? ''), timeoutMs)
}

describe.skipIf(lacking !== '')(`generations${lacking}`, () => {
  test('are there for as long as somebody works on them: ten sessions notice nothing of three refreshes, and the last to leave takes its own with it', async () => {
    await using live = await LiveSource.make(needSource())
    await live.query('postgres', 'CREATE DATABASE shop')
    await live.query(
      'shop',
      'CREATE TABLE marks AS SELECT 0 AS number',
      'CREATE TABLE filling AS SELECT i FROM generate_series(1, 20000) i',
    )
    await using lab = await labOf({ sources: [logical(live.url('shop'))], keep: { count: 1 } })
    await lab.start()
    const snapshots = [(await done(lab)).snapshot]
    const workers: Worker[] = []
    const hire = async (count: number, generation: number) => {
      for (let n = 0; n < count; n++) workers.push(await newWorker(lab, generation))
    }
    await hire(4, 0)
    await using api = lab.client()
    for (const generation of [1, 2, 3]) {
      await live.query('shop', `INSERT INTO marks VALUES (${generation})`)
      const { id } = await api.retrieval.refresh()
      for (const worker of workers) await work(worker)
      snapshots.push((await api.retrieval.waitUntilDone({ id })).snapshot)
      await hire(generation === 3 ? 0 : 3, generation)
    }
    expect(workers).toHaveLength(10)
    expect(await listed(lab)).toEqual(snapshots.toReversed())
    const leave = async (generation: number, count = 10) => {
      for (const worker of workers.filter((one) => one.generation === generation).slice(0, count)) {
        await work(worker)
        await worker.session.query('COMMIT')
        await worker.session.end()
        await api.clones.delete(worker.clone.id)
        workers.splice(workers.indexOf(worker), 1)
      }
    }
    await leave(0, 3)
    await api.snapshots.update(snapshots[1] ?? '', { protected: true })
    await leave(1)
    await leave(2)
    await goes(lab, snapshots[2])
    // One is in use, one is protected, and one the newest.
    expect(await listed(lab)).toEqual([snapshots[3], snapshots[1], snapshots[0]])
    for (const worker of workers) await work(worker)
    await leave(0)
    await goes(lab, snapshots[0])
    await api.snapshots.update(snapshots[1] ?? '', { protected: false })
    await goes(lab, snapshots[1], 25_000)
    expect(await listed(lab)).toEqual([snapshots[3]])
    await expectOnly(lab, { generations: 1, clones: 0 })
    expect(lab.output).not.toMatch(/^\S+ error /m)
  })
})
