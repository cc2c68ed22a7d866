import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type { Clone, Instance } from '@dblab/models'
import { isRoot } from '@dblab/provision/testbed'
import { afterEach, describe, expect, test } from 'vitest'
import { createClone, LOGIN, urlOf } from '../support/clones.ts'
import { eventually, TestLab } from '../support/lab.ts'
import { leftovers } from '../support/leftovers.ts'
import { openSession, query } from '../support/sql.ts'

const execute = promisify(execFile)

// The embedded pool is a mounted image, which takes root to make.
describe.skipIf(!isRoot)('a lab on btrfs (skipped without root: the pool is a mounted image)', () => {
  let lab: TestLab

  async function startLab(config: Record<string, unknown> = {}): Promise<TestLab> {
    lab = await TestLab.make({ driver: 'btrfs', config })
    await lab.start()
    return lab
  }

  async function status(): Promise<Instance> {
    return (await (await lab.fetch('/status')).json()) as Instance
  }

  async function create(id: string): Promise<Response> {
    return lab.fetch('/clone', { method: 'POST', json: { id, db: LOGIN } })
  }

  async function createReady(id: string): Promise<Clone> {
    const clone = await createClone(lab, { id })
    expect(clone.status).toEqual({ code: 'OK', message: 'Database is ready' })
    return clone
  }

  /** Nothing is under way any more. */
  async function settled(timeoutMs = 60_000): Promise<Clone[]> {
    const isSettled = ({ status: { code } }: Clone) => code === 'OK' || code === 'FATAL'
    await eventually('every clone settles', async () => (await status()).clones.every(isSettled), timeoutMs)
    return (await status()).clones
  }

  /** On the machine is what the clones and the base need, and nothing else. */
  async function expectNothingLeft(clones: Clone[]): Promise<void> {
    const withVolume = clones.filter(({ status: { code } }) => code === 'OK').length
    const warnings = (await status()).warnings.map((warning) => warning.message)
    expect(warnings).toEqual([])
    // What was retired goes in the background.
    const count = async () => {
      const { volumes, records, sockets } = await leftovers(lab.directory)
      return { volumes: volumes.length, records: records.length, sockets: sockets.length }
    }
    const needed = { volumes: withVolume + 1, records: withVolume, sockets: withVolume }
    await expect.poll(count, { timeout: 20_000, message: lab.output }).toEqual(needed)
    const left = await leftovers(lab.directory)
    expect(left.snapshots).toHaveLength(1)
    expect(new Set(left.servers.map((line) => line.split(' ')[1])).size).toBe(withVolume)
    expect(left.mounts).toHaveLength(1)
    expect(left.loops).toHaveLength(1)
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
    const clones = await settled(240_000)
    expect(clones.map(({ status: { code } }) => code)).toEqual(Array(50).fill('OK'))
    expect(new Set(clones.map((clone) => clone.db.port)).size).toBe(50)
    for (const clone of clones.slice(0, 5)) {
      expect(await query(urlOf(clone), 'SELECT count(*)::int AS n FROM products')).toEqual([{ n: expect.any(Number) }])
    }
    const deleted = await Promise.all(clones.map(({ id }) => lab.fetch(`/clone/${id}`, { method: 'DELETE' })))
    expect(deleted.map((answer) => answer.status)).toEqual(Array(50).fill(202))
    await eventually('all are gone', async () => (await status()).numClones === 0, 120_000)
    await expectNothingLeft([])
  }, 400_000)

  test('gives one 201 and one 409 to two creations of the same id', async () => {
    await startLab()
    const answers = await Promise.all([create('twin'), create('twin')])
    expect(answers.map((answer) => answer.status).sort()).toEqual([201, 409])
    await expectNothingLeft(await settled())
  })

  test('leaves nothing of a clone that is deleted while it is created', async () => {
    await startLab()
    for (let round = 0; round < 5; round++) {
      const id = `short-lived-${round}`
      expect((await create(id)).status).toBe(201)
      // At another point of the creation each time.
      await new Promise((resolve) => setTimeout(resolve, round * 40))
      expect((await lab.fetch(`/clone/${id}`, { method: 'DELETE' })).status).toBe(202)
      await eventually('it is gone', async () => (await lab.fetch(`/clone/${id}`)).status === 404)
    }
    await expectNothingLeft([])
  })

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
      const clones = await settled()
      expect(clones.filter(({ status: { code } }) => code === 'FATAL')).toEqual([])
      for (const { id } of standing.filter(({ id }) => id.startsWith('r'))) {
        const clone = clones.find((candidate) => candidate.id === id)
        expect(clone?.db.port).toBe(standing.find((candidate) => candidate.id === id)?.db.port)
        if (clone) expect(await query(urlOf(clone), 'SELECT 1 AS one')).toEqual([{ one: 1 }])
      }
      await expectNothingLeft(clones)
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
    for (const line of servers) process.kill(Number(line.split(' ')[0]), 'SIGKILL')
    await eventually('no Postgres runs', async () => (await leftovers(lab.directory)).servers.length === 0)
    for (const line of mounts) await execute('umount', [line.split(' ')[1] ?? ''])
    for (const file of loops) {
      const { stdout } = await execute('/usr/sbin/losetup', ['--associated', file, '--noheadings', '--output', 'NAME'])
      // Detached by the kernel already, where the mount was all that held it.
      for (const device of stdout.split('\n').filter(Boolean))
        await execute('/usr/sbin/losetup', ['--detach', device.trim()])
    }
    expect(await leftovers(lab.directory)).toMatchObject({ servers: [], mounts: [], loops: [] })
    await lab.start()
    const back = await settled()
    expect(back.map(({ id, db }) => [id, db.port])).toEqual(clones.map(({ id, db }) => [id, db.port]))
    for (const clone of back) expect(await query(urlOf(clone), 'SELECT id FROM mine')).toEqual([{ id: clone.id }])
    await expectNothingLeft(back)
  }, 180_000)

  test('destroys nothing when its catalogue is torn, and goes on when a good copy is put back', async () => {
    await startLab()
    const clone = await createReady('survivor')
    // A stop in good order leaves the whole catalogue in its one file.
    await lab.interrupt()
    const file = join(lab.directory, '.dblab/catalogue.db')
    const whole = await readFile(file)
    const before = await leftovers(lab.directory)
    const torn = [
      Buffer.alloc(0),
      whole.subarray(0, 10),
      whole.subarray(0, 5000),
      Buffer.alloc(whole.length),
      Buffer.from('no database'),
    ]
    for (const content of torn) {
      await writeFile(file, content)
      await lab.start()
      const seen = await status()
      expect(seen.status.code).toBe('WARNING')
      expect(seen.warnings.map((warning) => warning.code)).toContain('CATALOGUE_LOST')
      expect((await create('another')).status).toBe(503)
      expect((await lab.fetch('/clone/survivor', { method: 'DELETE' })).status).toBe(503)
      expect(await query(urlOf(clone), 'SELECT 1 AS one')).toEqual([{ one: 1 }])
      await lab.interrupt()
      expect(await readFile(file)).toEqual(content)
      expect(await leftovers(lab.directory)).toEqual(before)
    }
    await rm(file)
    await lab.start()
    expect((await status()).warnings.map((warning) => warning.code)).toContain('CATALOGUE_LOST')
    await lab.interrupt()
    expect(existsSync(file)).toBe(false)
    await writeFile(file, whole)
    await lab.start()
    expect((await status()).status).toEqual({ code: 'OK', message: 'DB Lab is ready' })
    expect((await settled()).map(({ id, status: { code } }) => [id, code])).toEqual([['survivor', 'OK']])
  }, 180_000)
})
