import { once } from 'node:events'
import { existsSync, readdirSync } from 'node:fs'
import { readdir, readFile, rm } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join } from 'node:path'
import type { Clone } from '@dblab/models'
import { isLong, isRoot } from '@dblab/provision/testbed'
import { describe, expect, test } from 'vitest'
import { createClone, urlOf } from '../support/clones.ts'
import { eventually, type TestLab } from '../support/lab.ts'
import { postmasterOf } from '../support/postmaster.ts'
import { openSession, query } from '../support/sql.ts'
import { settled, statusOf } from '../support/whole.ts'
import { expectOnlyWarmLeft, portraitOf, serversOf, untilReady, warmLab } from './warm-lab.ts'

const PINS = '/sys/fs/bpf'
const lacking = isRoot && existsSync(PINS) ? '' : ' (skipped: only root may steer ports, by bpf)'
const ORDERS = 'SELECT count(*)::int AS n FROM orders'

describe.skipIf(lacking !== '')(`resets to instances that are started ahead${lacking}`, { timeout: 120_000 }, () => {
  test('the data is back at the same address, and all is as after any other reset', async () => {
    await using lab = await warmLab(1)
    await untilReady(lab)
    const clone = await createClone(lab, { id: 'warm' })
    const [orders] = await query(urlOf(clone), ORDERS)
    await query(urlOf(clone), 'DROP TABLE orders CASCADE')
    const before = await postmasterOf(urlOf(clone))
    await untilReady(lab)
    const after = await reset(lab, 'warm')
    expect(after.steps.map(({ name }) => name)).toEqual(['queue', 'handover'])
    expect(after).toMatchObject({ db: clone.db, createdAt: clone.createdAt, status: { message: 'Database is ready' } })
    expect(await query(urlOf(clone), ORDERS)).toEqual([orders])
    await eventually('the server from before has ended', async () =>
      (await serversOf(lab)).every(({ pid }) => pid !== before.pid),
    )
    await expect(query(urlOf(clone).replace('//alice:', '//bob:'), 'SELECT 1')).rejects.toMatchObject({ code: '28000' })
    const cold = await createClone(lab, { id: 'cold', snapshot: after.snapshot, profile: 'test' })
    expect((await reset(lab, 'cold')).steps.map(({ name }) => name)).toContain('postgres')
    const dev = await createClone(lab, { id: 'dev' })
    expect(await portraitOf(after)).toEqual(await portraitOf(dev))
    await expectOnlyWarmLeft(lab, [after, cold, dev])
  })

  test('again and again, with the server stopped and killed in between, and nothing is left in the kernel', async () => {
    await using lab = await warmLab(1)
    await untilReady(lab)
    const clone = await createClone(lab)
    const url = urlOf(clone)
    for (const stop of ['SIGTERM', 'SIGKILL'] as const) {
      await query(url, 'DROP TABLE orders CASCADE')
      await untilReady(lab)
      expect((await reset(lab, clone.id)).steps.map(({ name }) => name)).toEqual(['queue', 'handover'])
      expect(await query(url, ORDERS)).toHaveLength(1)
      const { pid } = await postmasterOf(url)
      await (stop === 'SIGTERM' ? lab.interrupt() : lab.kill())
      expect((await postmasterOf(url)).pid).toBe(pid)
      await lab.start()
      expect((await postmasterOf(url)).pid).toBe(pid)
    }
    expect(await pinsOf(lab)).toHaveLength(2)
    expect((await lab.fetch(`/clone/${clone.id}`, { method: 'DELETE' })).ok).toBe(true)
    await eventually('the clone is gone', async () => (await statusOf(lab)).clones.length === 0)
    // Free for the next clone that it is lent to.
    await expectFree(lab, Number(clone.db.port))
    await lab.interrupt()
    expect(await pinsOf(lab)).toEqual([])
  })

  test('one whose Postgres is killed then is started again at the clone’s own port', async () => {
    await using lab = await warmLab(1)
    await untilReady(lab)
    const clone = await createClone(lab)
    const url = urlOf(clone)
    await untilReady(lab)
    await reset(lab, clone.id)
    await query(url, 'CREATE TABLE mine AS SELECT 42 AS n')
    const { pid } = await postmasterOf(url)
    process.kill(pid, 'SIGKILL')
    await eventually('it answers again', () =>
      query(url, 'SELECT n FROM mine').then(
        (rows) => rows.length === 1,
        () => false,
      ),
    )
    expect(await query(url, 'SHOW port')).toEqual([{ port: clone.db.port }])
    expect((await postmasterOf(url)).pid).not.toBe(pid)
  })

  test('where the kernel can’t, the reset is made from nothing', async () => {
    await using lab = await warmLab(1)
    await untilReady(lab)
    const clone = await createClone(lab)
    await lab.interrupt()
    const fault = { point: 'steering.steered', action: 'throw' }
    await lab.start([], { DBLAB_FAULTS: JSON.stringify({ faults: [fault] }) })
    await untilReady(lab)
    await query(urlOf(clone), 'DROP TABLE orders CASCADE')
    const after = await reset(lab, clone.id)
    expect(after.steps.map(({ name }) => name)).toEqual(expect.arrayContaining(['handover', 'postgres']))
    expect(await query(urlOf(clone), ORDERS)).toHaveLength(1)
    await untilReady(lab)
    await expectOnlyWarmLeft(lab, [after])
  })

  test('one from nothing is made beside the data from before, which is there until then, and where it fails', async () => {
    await using lab = await warmLab(0)
    const clone = await createClone(lab)
    const url = urlOf(clone)
    await query(url, 'CREATE TABLE mine AS SELECT 42 AS n')
    const { pid } = await postmasterOf(url)
    await lab.interrupt()
    await lab.start([], { DBLAB_FAULTS: JSON.stringify({ faults: [{ point: 'clone.user-set-up', action: 'throw' }] }) })
    const failed = await lab.fetch(`/clone/${clone.id}/reset?wait=60`, { method: 'POST', json: {} })
    expect(((await failed.json()) as Clone).status).toMatchObject({
      code: 'OK',
      message: expect.stringContaining('with the data from before'),
    })
    expect((await postmasterOf(url)).pid).toBe(pid)
    expect(await query(url, 'SELECT n FROM mine')).toEqual([{ n: 42 }])
    const after = await reset(lab, clone.id)
    expect(after.steps.map(({ name }) => name)).toEqual(['queue', 'volume', 'postgres', 'user', 'login'])
    await expect(query(url, 'SELECT n FROM mine')).rejects.toMatchObject({ code: '42P01' })
    await expectOnlyWarmLeft(lab, [after])
  })

  test.each([
    ['one that is started ahead', 1],
    ['one from nothing', 0],
  ])('no session is answered of the data from before, once a reset to %s says that it is done', async (_, warm) => {
    await using lab = await warmLab(warm)
    if (warm > 0) await untilReady(lab)
    const clone = await createClone(lab)
    const session = await openSession(urlOf(clone))
    let lastAnswer = 0
    const asking = (async () => {
      for (;;) {
        await session.query('SELECT 1')
        lastAnswer = performance.now()
      }
    })()
    const ended = asking.catch((error: unknown) => error)
    await reset(lab, clone.id)
    const done = performance.now()
    expect(lastAnswer).toBeGreaterThan(0)
    expect(await ended).toBeInstanceOf(Error)
    expect(lastAnswer).toBeLessThan(done)
  })

  test('a clone can be reset again and deleted at once, while the server from before is still there', async () => {
    await using lab = await warmLab(1)
    await untilReady(lab)
    const clone = await createClone(lab)
    await untilReady(lab)
    for (let number = 0; number < 2; number++) await reset(lab, clone.id)
    expect(await query(urlOf(clone), ORDERS)).toHaveLength(1)
    expect((await lab.fetch(`/clone/${clone.id}`, { method: 'DELETE' })).ok).toBe(true)
    await eventually('the clone is gone', async () => (await statusOf(lab)).clones.length === 0)
    // The port, too, which the first server was bound to.
    await expectFree(lab, Number(clone.db.port))
    await expectOnlyWarmLeft(lab, [])
  })

  test('after a loss of the catalogue the clone is at its address, and the data is its own', async () => {
    await using lab = await warmLab(1)
    await untilReady(lab)
    const clone = await createClone(lab, { id: 'kept' })
    await untilReady(lab)
    await reset(lab, 'kept')
    await query(urlOf(clone), 'CREATE TABLE mine AS SELECT 42 AS n')
    // What labels do not say yet, a rebuild can't know.
    await eventually('its label is written', async () => (await labelsOf(lab)).includes(`"${clone.db.port}"`))
    await lab.interrupt()
    for (const name of ['catalogue.db', 'catalogue.db-wal', 'catalogue.db-shm', 'catalogue.db-seal'])
      await rm(join(lab.directory, '.dblab', name), { force: true })
    expect(await lab.run(['rebuild', '--yes'])).toMatchObject({ code: 0 })
    await lab.start()
    const [after] = await settled(lab)
    expect(after).toMatchObject({ id: 'kept', db: { port: clone.db.port }, status: { code: 'OK' } })
    expect(await query(urlOf(clone), 'SELECT n FROM mine')).toEqual([{ n: 42 }])
  })

  const points: ['first' | 'second', string][] = [
    ['second', 'steering.steered'],
    ['second', 'reset.halted'],
    ['second', 'reset.settled'],
  ]
  if (isLong) points.push(['first', 'steering.steered'], ['second', 'warm.handed-over'])
  test.each(points)(
    'a server that is killed in the %s reset at %s leaves the clone with its data, and nothing that nobody owns',
    async (which, point) => {
      await using lab = await warmLab(1)
      await untilReady(lab)
      const clone = await createClone(lab)
      await untilReady(lab)
      if (which === 'second') await reset(lab, clone.id)
      await lab.interrupt()
      await lab.start([], { DBLAB_FAULTS: JSON.stringify({ faults: [{ point, action: 'kill' }] }) })
      await untilReady(lab)
      await query(urlOf(clone), 'DROP TABLE orders CASCADE')
      await expect(reset(lab, clone.id)).rejects.toThrow()
      expect(await lab.ended()).toBe('SIGKILL')
      await lab.start()
      const [after] = await settled(lab)
      if (!after) throw new Error('the clone is gone')
      expect(after).toMatchObject({ id: clone.id, db: clone.db, status: { code: 'OK' } })
      expect(await query(urlOf(clone), ORDERS)).toHaveLength(1)
      await untilReady(lab)
      await expectOnlyWarmLeft(lab, [after])
    },
  )

  test('a second reset that fails at its end leaves the clone at its address, with the data from before', async () => {
    await using lab = await warmLab(1)
    await untilReady(lab)
    const clone = await createClone(lab)
    await untilReady(lab)
    await reset(lab, clone.id)
    await query(urlOf(clone), 'CREATE TABLE mine AS SELECT 42 AS n')
    await lab.interrupt()
    const faults = ['warm.handed-over', 'reset.volume-noted'].map((point) => ({ point, action: 'throw' }))
    await lab.start([], { DBLAB_FAULTS: JSON.stringify({ faults }) })
    await untilReady(lab)
    const answer = await lab.fetch(`/clone/${clone.id}/reset?wait=60`, { method: 'POST', json: {} })
    const after = (await answer.json()) as Clone
    expect(after.status).toMatchObject({ code: 'OK', message: expect.stringContaining('with the data from before') })
    expect(await query(urlOf(clone), 'SELECT n FROM mine')).toEqual([{ n: 42 }])
  })
})

async function reset(lab: TestLab, id: string): Promise<Clone> {
  const answer = await lab.fetch(`/clone/${id}/reset?wait=60`, { method: 'POST', json: {} })
  const clone = (await answer.json()) as Clone
  expect(clone.status.code).toBe('OK')
  return clone
}

/** Nobody has the port but, perhaps, the next instance that is started ahead. */
async function expectFree(lab: TestLab, port: number): Promise<void> {
  const next = createServer().listen(port, '127.0.0.1')
  const outcome = await once(next, 'listening').then(
    () => 'free',
    (error: NodeJS.ErrnoException) => error.code,
  )
  next.close()
  if (outcome === 'free') return
  expect(outcome).toBe('EADDRINUSE')
  await eventually('it is the next instance’s', async () => (await serversOf(lab)).some((each) => each.port === port))
}

/** What of the lab is kept in the kernel. */
async function pinsOf(lab: TestLab): Promise<string[]> {
  const { labId } = JSON.parse(await lab.readDataFile('lab.json'))
  return readdirSync(PINS).filter((name) => name.startsWith(`dblab-${labId}-`))
}

/** Of its clones' volumes, as text. */
async function labelsOf(lab: TestLab): Promise<string> {
  const volumes = join(lab.directory, '.dblab/pool/volumes')
  const labels = (await readdir(volumes)).map((id) => readFile(join(volumes, id, 'label.json'), 'utf8'))
  return (await Promise.all(labels)).filter((text) => text.includes('"clone"')).join()
}
