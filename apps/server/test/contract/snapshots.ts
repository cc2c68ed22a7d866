import type { Instance, Snapshot } from '@dblab/models'
import { describe, expect, test } from 'vitest'
import { type Api, PASSWORD, text, unique, utcTime } from './api.ts'

export function snapshotContract(api: () => Api): void {
  test('GET /snapshots has every field, newest data first', async () => {
    await using second = await snapshot(api(), { message: 'Of the base' })
    const { status, body } = await api().get<Snapshot[]>('/snapshots')
    expect(status).toBe(200)
    expect(body).toContainEqual({
      id: second.id,
      timestamp: utcTime,
      createdAt: utcTime,
      database: 'shop',
      databases: ['postgres', 'shop'],
      postgresVersion: expect.any(Number),
      size: expect.any(Number),
      numClones: 0,
      cloneId: '',
      message: 'Of the base',
      protected: false,
      maskVersion: '',
      hasPlanSettings: false,
    })
    const times = body.map(({ timestamp }) => timestamp)
    expect(times).toEqual(times.toSorted().reverse())
    // The base has not changed, so neither has the time of its data.
    expect(new Set(times).size).toBe(1)
  })

  describe('the snapshot of a new clone', () => {
    test('is named by its id, by a time that is not older, or left to be the newest', async () => {
      const [newest] = (await api().get<Snapshot[]>('/snapshots')).body
      for (const wanted of [newest?.id, newest?.timestamp, '2999-01-01', '']) {
        await using clone = await api().clone({ snapshot: wanted ?? 'none' })
        expect(clone.answer.body.snapshot).toBe(newest?.id)
      }
    })

    test.each([
      ['a time before the oldest data', '2001-01-01T00:00:00Z', /^the oldest snapshot's data is of /],
      ['an unknown id', 'nope', /^there is no snapshot with this id$/],
      ['a path', '../../etc', /^there is no snapshot with this id$/],
    ])('is refused for %s', async (_what, wanted, detail) => {
      const json = { snapshot: wanted, db: { username: 'alice', password: PASSWORD } }
      const { body } = await api().refused('SNAPSHOT_NOT_FOUND', 'POST', '/clone', { json })
      expect(body.detail).toMatch(detail)
    })
  })

  describe('POST /snapshot of a clone', () => {
    test("keeps the clone's data of that time, which another user can have and alter", async () => {
      await using source = await api().clone({}, { wait: 60 })
      await source.sql('create table kept (id int); insert into kept values (1)')
      await using taken = await snapshot(api(), { cloneId: source.id })
      expect(taken.body).toMatchObject({ cloneId: source.id, database: 'shop', numClones: 0 })
      await source.sql('insert into kept values (2)')
      await using clone = await api().clone({ snapshot: taken.id, db: { username: 'somebody-else' } }, { wait: 60 })
      expect(await clone.sql('select id from kept')).toEqual([{ id: 1 }])
      await clone.sql('alter table kept add column note text')
      await clone.sql('alter table orders add column added_here text; drop table kept')
      expect(await source.sql('select id from kept order by id')).toEqual([{ id: 1 }, { id: 2 }])
    })

    test('is refused while one of the same clone waits for another already', async () => {
      await using source = await api().clone({}, { wait: 60 })
      const answers = await Promise.all(
        ['one', 'two', 'three', 'four', 'five'].map((name) =>
          api().call<Snapshot & { code?: string }>('POST', '/snapshot', {
            json: { id: `${name}-of-${source.id}`, cloneId: source.id },
          }),
        ),
      )
      const taken = answers.filter(({ status }) => status === 201)
      for (const { body } of taken) expect((await api().call('DELETE', `/snapshot/${body.id}`)).status).toBe(204)
      expect(taken).toHaveLength(2)
      const refused = answers.filter(({ status }) => status !== 201)
      expect(refused.map(({ status, body }) => [status, body.code])).toEqual(Array(3).fill([503, 'TOO_BUSY']))
      await using _again = await snapshot(api(), { cloneId: source.id })
    })

    test('is refused for a clone that there is not', async () => {
      await api().refused('CLONE_NOT_FOUND', 'POST', '/snapshot', { json: { cloneId: 'nope' } })
      // A variable that was empty does not mean the lab's own data.
      await api().refused('INVALID_REQUEST', 'POST', '/snapshot', { json: { cloneId: '' } })
    })
  })

  describe('PATCH /snapshot/{id}', () => {
    test('protects a snapshot until it is let go, and changes its message', async () => {
      await using taken = await snapshot(api(), {})
      const path = `/snapshot/${taken.id}`
      const { status, body } = await api().call<Snapshot>('PATCH', path, { json: { protected: true } })
      expect([status, body.protected, body.message]).toEqual([200, true, ''])
      await api().refused('SNAPSHOT_PROTECTED', 'DELETE', path)
      const named = await api().call<Snapshot>('PATCH', path, { json: { message: 'keep' } })
      expect(named.body).toMatchObject({ protected: true, message: 'keep' })
      await api().refused('INVALID_REQUEST', 'PATCH', path, { json: { message: 'a\nb' } })
      await api().refused('SNAPSHOT_NOT_FOUND', 'PATCH', '/snapshot/nope', { json: {} })
      await api().call('PATCH', path, { json: { protected: false } })
    })
  })

  describe('DELETE /snapshot/{id}', () => {
    test('is refused while clones stand on it, and names them', async () => {
      await using taken = await snapshot(api(), {})
      await using clone = await api().clone({ snapshot: taken.id })
      const { body } = await api().refused('SNAPSHOT_IN_USE', 'DELETE', `/snapshot/${taken.id}`)
      expect(body.detail).toContain(clone.id)
    })

    test('answers 204, and then there is no such snapshot', async () => {
      await using taken = await snapshot(api(), {})
      expect((await api().call('DELETE', `/snapshot/${taken.id}`)).status).toBe(204)
      await api().refused('SNAPSHOT_NOT_FOUND', 'DELETE', `/snapshot/${taken.id}`)
      const ids = (await api().get<Snapshot[]>('/snapshots')).body.map(({ id }) => id)
      expect(ids).not.toContain(taken.id)
    })

    test('leaves the data of the last one there to be snapshotted again', async () => {
      const before = (await api().get<Snapshot[]>('/snapshots')).body
      for (const { id } of before) expect((await api().call('DELETE', `/snapshot/${id}`)).status).toBe(204)
      const { body } = await api().get<Instance>('/status')
      expect(body.warnings).toEqual([expect.objectContaining({ code: 'NO_SNAPSHOT' })])
      await api().refused('SNAPSHOT_NOT_FOUND', 'POST', '/clone', {
        json: { db: { username: 'a', password: PASSWORD } },
      })
      const again = await api().call<Snapshot>('POST', '/snapshot', { json: {} })
      const { database, databases, timestamp, postgresVersion } = before[0] ?? {}
      expect(again.body).toMatchObject({ database, databases, timestamp, postgresVersion })
      await using clone = await api().clone({}, { wait: 60 })
      expect(clone.answer.body.snapshot).toBe(again.body.id)
    })
  })
}

/** A snapshot that goes at the end of its scope. Declared before its clones, so that they go first. */
async function snapshot(api: Api, request: { cloneId?: string; message?: string }) {
  const id = unique('snapshot')
  const { status, body } = await api.call<Snapshot>('POST', '/snapshot', { json: { id, ...request } })
  expect(status).toBe(201)
  expect(body).toMatchObject({ id, createdAt: utcTime, timestamp: utcTime, database: text })
  return {
    id,
    body,
    [Symbol.asyncDispose]: async () => {
      expect([204, 404]).toContain((await api.call('DELETE', `/snapshot/${id}`)).status)
    },
  }
}
