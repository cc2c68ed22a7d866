import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import type { Clone } from '@dblab/models'
import { isRoot } from '@dblab/provision/testbed'
import { afterEach, describe, expect, test } from 'vitest'
import { createClone, LOGIN, urlOf } from '../support/clones.ts'
import { eventually, TestLab } from '../support/lab.ts'
import { leftovers } from '../support/leftovers.ts'
import { untilEnded } from '../support/postmaster.ts'
import { openSession, query } from '../support/sql.ts'
import { expectNothingLeft, settled, statusOf } from '../support/whole.ts'

const execute = promisify(execFile)

// The embedded pool is a mounted image, which takes root to make.
describe.skipIf(!isRoot)('a lab on btrfs (skipped without root: the pool is a mounted image)', () => {
  let lab: TestLab

  async function startLab(config: Record<string, unknown> = {}): Promise<TestLab> {
    lab = await TestLab.make({ driver: 'btrfs', config })
    await lab.start()
    return lab
  }

  async function create(id: string): Promise<Response> {
    return lab.fetch('/clone', { method: 'POST', json: { id, db: LOGIN } })
  }

  async function createReady(id: string): Promise<Clone> {
    const clone = await createClone(lab, { id })
    expect(clone.status).toEqual({ code: 'OK', message: 'Database is ready' })
    return clone
  }

  /** One mount of one image is all that the lab has beside what its clones need. */
  async function expectWhole(clones: Clone[]): Promise<void> {
    await expectNothingLeft(lab, clones)
    expect(await leftovers(lab.directory)).toMatchObject({ mounts: [expect.anything()], loops: [expect.anything()] })
  }

  afterEach(async () => {
    await lab[Symbol.asyncDispose]()
    expect(await leftovers(lab.directory)).toEqual({
      volumes: [],
      snapshots: [],
      servers: [],
      records: [],
      sockets: [],
      mounts: [],
      loops: [],
    })
  })

  test('makes fifty clones at once, and all become OK', async () => {
    await startLab()
    const answers = await Promise.all(Array.from({ length: 50 }, (_, index) => create(`many-${index}`)))
    expect(answers.map((answer) => answer.status)).toEqual(Array(50).fill(201))
    const clones = await settled(lab, 240_000)
    expect(clones.map(({ status: { code } }) => code)).toEqual(Array(50).fill('OK'))
    expect(new Set(clones.map((clone) => clone.db.port)).size).toBe(50)
    for (const clone of clones.slice(0, 5)) {
      expect(await query(urlOf(clone), 'SELECT count(*)::int AS n FROM products')).toEqual([{ n: expect.any(Number) }])
    }
    const deleted = await Promise.all(clones.map(({ id }) => lab.fetch(`/clone/${id}`, { method: 'DELETE' })))
    expect(deleted.map((answer) => answer.status)).toEqual(Array(50).fill(202))
    await eventually('all are gone', async () => (await statusOf(lab)).numClones === 0, 120_000)
    await expectWhole([])
  }, 400_000)

  test('loses nothing and leaves nothing when the server is killed in the middle of everything', async () => {
    await startLab()
    const bystander = await createReady('bystander')
    await query(urlOf(bystander), 'CREATE TABLE mine AS SELECT 42 AS answer')
    const session = await openSession(urlOf(bystander))
    const standing = await Promise.all(['r1', 'r2', 'r3', 'd1', 'd2', 'd3'].map(createReady))
    for (const pause of [30, 120, 300]) {
      void Promise.allSettled([
        ...['c1', 'c2', 'c3', 'c4', 'c5', 'c6'].map((id) => create(`${id}-${pause}`)),
        ...['r1', 'r2', 'r3'].map((id) => lab.fetch(`/clone/${id}/reset`, { method: 'POST' })),
        lab.fetch(`/clone/d${[30, 120, 300].indexOf(pause) + 1}`, { method: 'DELETE' }),
      ])
      await new Promise((resolve) => setTimeout(resolve, pause))
      await lab.kill()
      expect((await session.query('SELECT answer FROM mine')).rows).toEqual([{ answer: 42 }])
      await lab.start()
      const clones = await settled(lab)
      expect(clones.filter(({ status: { code } }) => code === 'FATAL')).toEqual([])
      for (const { id } of standing.filter(({ id }) => id.startsWith('r'))) {
        const clone = clones.find((candidate) => candidate.id === id)
        expect(clone?.db.port).toBe(standing.find((candidate) => candidate.id === id)?.db.port)
        if (clone) expect(await query(urlOf(clone), 'SELECT 1 AS one')).toEqual([{ one: 1 }])
      }
      await expectWhole(clones)
    }
    expect((await session.query('SELECT answer FROM mine')).rows).toEqual([{ answer: 42 }])
    await session.end()
  }, 300_000)

  test('comes back after the host went down, each clone on its port with its data', async () => {
    await startLab()
    const clones = await Promise.all(['a1', 'b1', 'c1'].map(createReady))
    for (const clone of clones) await query(urlOf(clone), `CREATE TABLE mine AS SELECT '${clone.id}'::text AS id`)
    await lab.kill()
    const { servers, mounts, loops } = await leftovers(lab.directory)
    const postmasters = servers.map((line) => line.split(' ') as [pid: string, dataDir: string])
    for (const [pid] of postmasters) process.kill(Number(pid), 'SIGKILL')
    for (const [, dataDir] of postmasters) await untilEnded({ dataDir })
    for (const line of mounts) await execute('umount', [line.split(' ')[1] ?? ''])
    for (const file of loops) {
      const { stdout } = await execute('/usr/sbin/losetup', ['--associated', file, '--noheadings', '--output', 'NAME'])
      // Detached by the kernel already, where the mount was all that held it.
      for (const device of stdout.split('\n').filter(Boolean))
        await execute('/usr/sbin/losetup', ['--detach', device.trim()])
    }
    expect(await leftovers(lab.directory)).toMatchObject({ servers: [], mounts: [], loops: [] })
    await lab.start()
    const back = await settled(lab)
    // Of three that were asked for at once, any may have come first.
    const ports = (all: readonly Clone[]) => new Map(all.map(({ id, db }) => [id, db.port]))
    expect(ports(back)).toEqual(ports(clones))
    for (const clone of back) expect(await query(urlOf(clone), 'SELECT id FROM mine')).toEqual([{ id: clone.id }])
    await expectWhole(back)
  }, 180_000)
})
