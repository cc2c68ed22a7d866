import type { Clone, Instance, Snapshot, Error as WireError } from '@dblab/models'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { PASSWORD, unique } from '../contract/api.ts'
import { TestLab } from '../support/lab.ts'
import { People, type Person } from './people.ts'

const db = { username: 'alice', password: PASSWORD }

describe('what a member made', () => {
  let lab: TestLab
  let people: People
  let anna: Person
  let bert: Person
  let ofAnna: Clone

  beforeAll(async () => {
    lab = await TestLab.make({ driver: 'copy' })
    await lab.start()
    people = await People.of(lab)
    anna = await people.make('anna', 'member')
    bert = await people.make('bert', 'member')
    // How much it holds is measured in the background.
    ofAnna = {
      ...(await anna.clone({ id: 'of-anna', username: 'bert', name: 'as it was' })),
      cloneSize: expect.any(Number),
    }
  })

  afterAll(async () => {
    await lab[Symbol.asyncDispose]()
  })

  test('is not there for another member, whatever it asks, just like what there is not', async () => {
    const asked = (id: string): [method: string, path: string, json?: unknown][] => [
      ['GET', `/clone/${id}`],
      ['GET', `/clone/${id}?wait=5`],
      ['GET', `/clone/${id}/`],
      ['PATCH', `/clone/${id}`, { name: 'changed', protected: true }],
      ['POST', `/clone/${id}/reset`, {}],
      ['DELETE', `/clone/${id}`],
      ['POST', '/snapshot', { cloneId: id }],
    ]
    const absent = asked('there-is-none')
    for (const [index, [method, path, json]] of asked(ofAnna.id).entries()) {
      const { requestId: _, ...told } = await bert.refused('CLONE_NOT_FOUND', method, path, json)
      const [, absentPath = '', absentJson] = absent[index] ?? []
      const { requestId: __, ...toldOfNone } = await bert.refused('CLONE_NOT_FOUND', method, absentPath, absentJson)
      expect(told).toEqual(toldOfNone)
    }
    expect((await anna.call('GET', `/clone/${ofAnna.id}`)).body).toEqual(ofAnna)
    expect((await people.first.call<Snapshot[]>('GET', '/snapshots')).body).toHaveLength(1)
  })

  test('is what it sees and counts, and all that it does, whoever a request says that it is for', async () => {
    const ofBert = await bert.clone({ username: 'anna', project: 'anna' })
    for (const [person, own] of [
      [anna, ofAnna],
      [bert, ofBert],
    ] as const) {
      const { body: status } = await person.call<Instance>('GET', '/status')
      expect([status.numClones, status.clones.map(({ id }) => id)]).toEqual([1, [own.id]])
      for (const query of ['', '?username=anna', '?username=bert', '?project=anna', '?status=OK']) {
        const { body } = await person.call<Clone[]>('GET', `/clones${query}`)
        expect(
          body.map(({ id }) => id).filter((id) => id !== own.id),
          query,
        ).toEqual([])
      }
    }
    await bert.call('PATCH', `/clone/${ofBert.id}`, { username: 'anna' })
    await anna.refused('CLONE_NOT_FOUND', 'GET', `/clone/${ofBert.id}`)
    expect((await people.first.call<Instance>('GET', '/status')).body.numClones).toBe(2)
    await bert.call('DELETE', `/clone/${ofBert.id}`)
  })

  test('is not found by its Idempotency-Key: each token has its own', async () => {
    const headers = { 'Idempotency-Key': unique('key') }
    const first = await anna.clone({ name: 'the same' }, headers)
    const other = await bert.clone({ name: 'the same' }, headers)
    expect(other.id).not.toBe(first.id)
    expect((await anna.clone({ name: 'the same' }, headers)).id).toBe(first.id)
    expect((await bert.clone({ name: 'the same' }, headers)).id).toBe(other.id)
    for (const [person, { id }] of [
      [anna, first],
      [bert, other],
    ] as const)
      expect((await person.call('DELETE', `/clone/${id}`)).status).toBe(202)
  })

  test('is not found by the key of one that is gone, whose id it has', async () => {
    const headers = { 'Idempotency-Key': unique('key') }
    const id = unique('passed-on')
    await anna.clone({ id }, headers)
    await anna.call('DELETE', `/clone/${id}`)
    await people.api.untilGone(id)
    await bert.clone({ id })
    const { body } = await anna.call<WireError>('POST', '/clone', { id, db }, headers)
    expect(body).toMatchObject({ code: 'CLONE_NOT_FOUND', detail: expect.stringContaining('deleted already') })
    await bert.call('DELETE', `/clone/${id}`)
  })

  test('is not told from what there is not by what else is wrong with a request', async () => {
    const [snapshot] = (await bert.call<Snapshot[]>('GET', '/snapshots')).body
    for (const cloneId of [ofAnna.id, 'there-is-none'])
      await bert.refused('CLONE_NOT_FOUND', 'POST', '/snapshot', { cloneId, id: snapshot?.id })
  })

  test('keeps its id: another member can not take it', async () => {
    await bert.refused('CLONE_ALREADY_EXISTS', 'POST', '/clone', { id: ofAnna.id, db })
  })

  test('is open to an admin', async () => {
    const admin = await people.make('admin', 'admin')
    const { body } = await admin.call<Clone>('PATCH', `/clone/${ofAnna.id}`, { name: 'by an admin' })
    expect(body.name).toBe('by an admin')
    await admin.call('PATCH', `/clone/${ofAnna.id}`, { name: ofAnna.name })
  })

  test('can be snapshotted by it, and that snapshot deleted by it alone, though all may clone it', async () => {
    const id = 'snapshot-of-anna'
    expect((await anna.call('POST', '/snapshot', { cloneId: ofAnna.id, id })).status).toBe(201)
    await anna.refused('FORBIDDEN', 'POST', '/snapshot', {})
    const [base] = (await anna.call<Snapshot[]>('GET', '/snapshots')).body.filter(({ cloneId }) => cloneId === '')
    await anna.refused('FORBIDDEN', 'DELETE', `/snapshot/${base?.id}`)
    await bert.refused('FORBIDDEN', 'DELETE', `/snapshot/${id}`)
    const ofBert = await bert.clone({ snapshot: id })
    const told = await anna.refused('SNAPSHOT_IN_USE', 'DELETE', `/snapshot/${id}`)
    expect(told.detail).toBe('clones stand on it: 1 that others made')
    const toldAdmin = await people.first.refused('SNAPSHOT_IN_USE', 'DELETE', `/snapshot/${id}`)
    expect(toldAdmin.detail).toBe(`clones stand on it: ${ofBert.id}`)
    await bert.call('DELETE', `/clone/${ofBert.id}`)
    await people.api.untilGone(ofBert.id)
    expect((await anna.call('DELETE', `/snapshot/${id}`)).status).toBe(204)
  })

  test('does not pass to whoever makes a clone of the same id later', async () => {
    const id = unique('reused')
    const snapshot = unique('snapshot')
    await anna.clone({ id })
    expect((await anna.call('POST', '/snapshot', { cloneId: id, id: snapshot })).status).toBe(201)
    await anna.call('DELETE', `/clone/${id}`)
    await people.api.untilGone(id)
    await bert.clone({ id })
    await anna.refused('CLONE_NOT_FOUND', 'GET', `/clone/${id}`)
    await bert.refused('FORBIDDEN', 'DELETE', `/snapshot/${snapshot}`)
    expect((await anna.call('DELETE', `/snapshot/${snapshot}`)).status).toBe(204)
    await bert.call('DELETE', `/clone/${id}`)
  })

  test('stays when its token is revoked, for the admins', async () => {
    await people.first.call('DELETE', `/token/${anna.id}`)
    await anna.refused('UNAUTHORIZED', 'GET', `/clone/${ofAnna.id}`)
    await bert.refused('CLONE_NOT_FOUND', 'GET', `/clone/${ofAnna.id}`)
    expect((await people.first.call('GET', `/clone/${ofAnna.id}`)).body).toEqual(ofAnna)
    // Another token of the same name is another token.
    const again = await people.make('anna', 'member')
    await again.refused('CLONE_NOT_FOUND', 'GET', `/clone/${ofAnna.id}`)
    expect((await people.first.call('DELETE', `/clone/${ofAnna.id}`)).status).toBe(202)
  })
})
