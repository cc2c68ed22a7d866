import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { isLong, isRoot } from '@dblab/provision/testbed'
import { describe, expect, test } from 'vitest'
import { createClone, LOGIN, urlOf } from '../support/clones.ts'
import { eventually } from '../support/lab.ts'
import { leftovers } from '../support/leftovers.ts'
import { postmasterOf } from '../support/postmaster.ts'
import { query } from '../support/sql.ts'
import { settled, statusOf } from '../support/whole.ts'
import {
  anotherSnapshot,
  expectOnlyWarmLeft,
  portraitOf,
  serversOf,
  settingOf,
  untilAnother,
  untilReady,
  warmLab,
} from './warm-lab.ts'

const lacking = isRoot ? '' : ' (skipped: only root can make the pool)'

describe.skipIf(lacking !== '')(`instances that are started ahead${lacking}`, { timeout: 120_000 }, () => {
  test('a clone that takes one is in every respect what one is that was made from nothing', async () => {
    await using lab = await warmLab(2)
    await untilReady(lab)
    const warm = await createClone(lab, { id: 'warm' })
    const cold = await createClone(lab, { id: 'cold', profile: 'test' })
    const dev = await createClone(lab, { id: 'dev', snapshot: await anotherSnapshot(lab) })
    expect(warm.steps.map(({ name }) => name)).toEqual(['handover'])
    for (const clone of [cold, dev]) expect(clone.steps.map(({ name }) => name)).toContain('postgres')
    expect(await portraitOf(warm)).toEqual(await portraitOf(dev))
    for (const clone of [warm, dev]) {
      expect(clone).toMatchObject({ status: { code: 'OK', message: 'Database is ready' }, profile: 'dev' })
      expect(clone.cloningTime).toBeGreaterThan(0)
    }
    expect(await settingOf(cold, 'fsync')).toBe('off')
    expect(await settingOf(warm, 'fsync')).toBe('on')
  })

  test('nobody but its user gets in, and nobody before it has one', async () => {
    await using lab = await warmLab(1)
    await untilReady(lab)
    const first = await createClone(lab)
    await untilReady(lab)
    const port = String((await serversOf(lab)).find((server) => String(server.port) !== first.db.port)?.port)
    for (const username of ['alice', 'dblab', 'dblab_next_user', 'postgres']) {
      const url = urlOf(first).replace(`:${first.db.port}/`, `:${port}/`).replace('//alice:', `//${username}:`)
      await expect(query(url, 'SELECT 1'), username).rejects.toMatchObject({ code: expect.stringMatching(/^28/) })
    }
    const second = await createClone(lab, { db: { username: 'bob', password: 'another password' } })
    expect(second.db.port).toBe(port)
    await expect(query(urlOf(second).replace('//bob:', '//alice:'), 'SELECT 1')).rejects.toMatchObject({
      code: '28000',
    })
    expect(await query(urlOf(second, 'another password'), 'SELECT current_user AS me')).toEqual([{ me: 'bob' }])
  })

  test('one whose Postgres was killed is nobody’s, and another one takes its place', async () => {
    await using lab = await warmLab(1)
    await untilReady(lab)
    const [standing] = await serversOf(lab)
    if (!standing) throw new Error('none stands ready')
    process.kill(standing.pid, 'SIGKILL')
    await untilAnother(lab, standing.pid)
    const clone = await createClone(lab)
    expect(clone.steps.map(({ name }) => name)).toEqual(['handover'])
    expect(await query(urlOf(clone), 'SELECT 1 AS one')).toEqual([{ one: 1 }])
  })

  test('newer data has them replaced', async () => {
    await using lab = await warmLab(1)
    await untilReady(lab)
    const [before] = await serversOf(lab)
    const id = await anotherSnapshot(lab)
    await untilAnother(lab, before?.pid ?? 0)
    const clone = await createClone(lab)
    expect(clone.snapshot).toBe(id)
    expect(clone.steps.map(({ name }) => name)).toEqual(['handover'])
  })

  test('more clones at once than stand ready all come up, each on its own', async () => {
    await using lab = await warmLab(3)
    await untilReady(lab)
    const clones = await Promise.all(
      Array.from({ length: 12 }, (_, index) => createClone(lab, { id: `one-of-${index}` })),
    )
    expect(new Set(clones.map(({ db }) => db.port)).size).toBe(12)
    for (const clone of clones) expect(clone.status.code).toBe('OK')
    const directories = await Promise.all(clones.map(async (clone) => (await postmasterOf(urlOf(clone))).dataDir))
    expect(new Set(directories).size).toBe(12)
    expect(clones.some(({ steps }) => steps[0]?.name === 'handover')).toBe(true)
  })

  test('a name that the data has already, and a superuser’s, are treated as without', async () => {
    await using lab = await warmLab(1)
    await untilReady(lab)
    const db = { ...LOGIN, username: 'dblab_next_user' }
    expect((await lab.fetch('/clone?wait=60', { method: 'POST', json: { db } })).status).toBe(400)
    const owner = await lab.fetch('/clone?wait=60', {
      method: 'POST',
      json: { id: 'owner', db: { ...LOGIN, username: 'shop_owner' } },
    })
    expect(owner.status).toBe(201)
    await untilReady(lab)
    const twin = await createClone(lab, { id: 'twin' })
    await untilReady(lab)
    const taken = await lab.fetch('/clone', { method: 'POST', json: { id: 'twin', db: LOGIN } })
    expect(taken.status).toBe(409)
    expect((await statusOf(lab)).warm.ready).toBe(1)
    await expectOnlyWarmLeft(lab, (await statusOf(lab)).clones)
    expect(await query(urlOf(twin), 'SELECT 1 AS one')).toEqual([{ one: 1 }])
  })

  test('data in which no role stands ready has them too, and its users are let in by name', async () => {
    await using lab = await warmLab(1, { postgres: { allowSuperusers: true } })
    await untilReady(lab)
    const alice = await createClone(lab)
    expect(alice.steps.map(({ name }) => name)).toEqual(['handover'])
    await untilReady(lab)
    const bob = await createClone(lab, { db: { username: 'bob', password: 'another password' } })
    expect(bob.steps.map(({ name }) => name)).toEqual(['handover'])
    expect(await query(urlOf(bob, 'another password'), 'SELECT current_user AS me')).toEqual([{ me: 'bob' }])
    for (const url of [urlOf(alice).replace('//alice:', '//bob:'), urlOf(bob).replace('//bob:', '//alice:')])
      await expect(query(url, 'SELECT 1')).rejects.toMatchObject({ code: '28000' })
  })

  test('a stop of the server leaves none, and the clones that were made of them run on', async () => {
    await using lab = await warmLab(2)
    await untilReady(lab)
    const clone = await createClone(lab)
    const { pid } = await postmasterOf(urlOf(clone))
    await lab.interrupt()
    expect((await serversOf(lab)).map((server) => server.pid)).toEqual([pid])
    await lab.start()
    expect((await postmasterOf(urlOf(clone))).pid).toBe(pid)
    await untilReady(lab)
  })

  test('a lost catalogue is made anew without those that nobody had, and with the one that somebody has just got', async () => {
    await using lab = await warmLab(2)
    await untilReady(lab)
    await lab.interrupt()
    await lab.start([], { DBLAB_FAULTS: JSON.stringify({ faults: [{ point: 'warm.settled', action: 'kill' }] }) })
    await eventually('both stand ready', async () => (await statusOf(lab)).warm.ready >= 1)
    const json = { id: 'late', db: LOGIN }
    await expect(lab.fetch('/clone?wait=60', { method: 'POST', json })).rejects.toThrow()
    expect(await lab.ended()).toBe('SIGKILL')
    const { servers } = await leftovers(lab.directory)
    for (const name of ['catalogue.db', 'catalogue.db-wal', 'catalogue.db-shm', 'catalogue.db-seal']) {
      await rm(join(lab.directory, '.dblab', name), { force: true })
    }
    expect(await lab.run(['rebuild', '--yes'])).toMatchObject({ code: 0 })
    await lab.start()
    const [clone, ...others] = await settled(lab)
    if (!clone) throw new Error('the clone did not come back')
    expect(others).toEqual([])
    // Under the name of its volume, which is all that it has.
    expect(servers.join()).toContain(`/volumes/${clone.id}/`)
    expect(clone).toMatchObject({ protected: true, db: { username: 'alice' }, status: { code: 'OK' } })
    expect(await query(urlOf(clone), 'SELECT 1 AS one')).toEqual([{ one: 1 }])
    await untilReady(lab)
    await expectOnlyWarmLeft(lab, [clone])
  })

  // The torture strikes at each.
  const points = ['warm.prepared', 'warm.handed-over']
  const more = ['warm.volume-noted', 'clone.user-set-up', 'warm.settled']
  for (const point of isLong ? [...points, ...more] : points) {
    test(`a server that is killed at ${point} leaves nothing that nobody owns`, async () => {
      await using lab = await warmLab(1)
      await lab.interrupt()
      await lab.start([], { DBLAB_FAULTS: JSON.stringify({ faults: [{ point, action: 'kill' }] }) }).catch(() => {})
      const create = () => lab.fetch('/clone?wait=60', { method: 'POST', json: { id: 'late', db: LOGIN } })
      // While the pool is filled, or while an instance of it is handed over.
      if (point.startsWith('clone') || point.endsWith('over') || point.endsWith('settled')) {
        await untilReady(lab)
        await expect(create()).rejects.toThrow()
      }
      expect(await lab.ended()).toBe('SIGKILL')
      await lab.start()
      const clones = await settled(lab)
      expect(clones.map(({ id }) => id)).toEqual(point === 'warm.settled' ? ['late'] : [])
      for (const clone of clones) expect(await query(urlOf(clone), 'SELECT 1 AS one')).toEqual([{ one: 1 }])
      await untilReady(lab)
      await expectOnlyWarmLeft(lab, clones)
    })
  }
})
