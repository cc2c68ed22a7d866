import { setTimeout as delay } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { People, type Person } from '../access/people.ts'
import { PASSWORD } from '../contract/api.ts'
import { EVENT_STREAM } from '../contract/document.ts'
import { urlOf } from '../support/clones.ts'
import { eventually, TestLab } from '../support/lab.ts'
import { postmasterOf } from '../support/postmaster.ts'
import { Follower, Mirror } from './follower.ts'

const db = { username: 'alice', password: PASSWORD }

describe('the events of a running lab', () => {
  let lab: TestLab
  let people: People
  let mine: Person
  let theirs: Person

  beforeAll(async () => {
    lab = await TestLab.make({ driver: 'copy' })
    await lab.start()
    people = await People.of(lab)
    mine = await people.make('mine', 'member')
    theirs = await people.make('theirs', 'member')
  })

  afterAll(async () => {
    await lab[Symbol.asyncDispose]()
  })

  const remove = async (id: string) => {
    await lab.fetch(`/clone/${id}`, { method: 'DELETE' })
    await people.api.untilGone(id)
  }

  test('come with headers that let nobody hold them back', async () => {
    await using follower = await Follower.open(lab)
    const { headers, status } = follower.response
    expect([status, headers.get('Content-Type')]).toEqual([200, `${EVENT_STREAM}; charset=utf-8`])
    expect(headers.get('Cache-Control')).toBe('no-store, no-transform')
    expect(headers.get('X-Accel-Buffering')).toBe('no')
    expect(follower.events[0]).toMatchObject({ type: 'resync', action: 'changed', subject: '' })
  })

  test('tell all that happens: a copy that only they keep is what the lists say', async () => {
    await using follower = await Follower.open(lab)
    const mirror = await Mirror.of(lab)
    const calls: [method: string, path: string, json?: unknown][] = [
      ['POST', '/clone?wait=60', { id: 'told', db }],
      ['PATCH', '/clone/told', { name: 'renamed', project: 'p' }],
      ['POST', '/snapshot', { cloneId: 'told', id: 'of-told' }],
      ['POST', '/clone?wait=60', { id: 'second', snapshot: 'of-told', db }],
      ['POST', '/clone/told/reset?wait=60', { snapshot: 'of-told' }],
      ['POST', '/snapshot', { id: 'of-base' }],
      ['DELETE', '/clone/second'],
      ['DELETE', '/snapshot/of-base'],
    ]
    for (const [method, path, json] of calls) {
      const response = await lab.fetch(path, { method, ...(json !== undefined && { json }) })
      expect(response.ok, `${method} ${path}: ${await response.text()}`).toBe(true)
    }
    await people.api.untilGone('second')
    await eventually('the copy is what the lists say', async () => {
      for (const event of follower.events.splice(1)) mirror.apply(event)
      return JSON.stringify(mirror.content) === JSON.stringify((await Mirror.of(lab)).content)
    })
    expect(mirror.content.clones.map(({ id, name }) => [id, name])).toEqual([['told', 'renamed']])
    expect(mirror.content.snapshots.find(({ id }) => id === 'of-told')).toMatchObject({ numClones: 1, cloneId: 'told' })
    expect(JSON.stringify(mirror.content)).not.toContain(db.password)
    await remove('told')
  })

  test('let a copy be begun at any moment, however much is changing', async () => {
    for (const id of ['busy-1', 'busy-2']) await people.first.clone({ id })
    let changing = true
    const change = async (worker: number) => {
      for (let n = 0; changing; n++) {
        const json = { name: `${worker}/${n}`, protected: n % 2 === 0 }
        expect((await lab.fetch(`/clone/busy-${(worker % 2) + 1}`, { method: 'PATCH', json })).status).toBe(200)
      }
    }
    const workers = Promise.all(Array.from({ length: 6 }, (_, worker) => change(worker)))
    const copies: { follower: Follower; mirror: Mirror }[] = []
    for (let n = 0; n < 15; n++) {
      // Subscribed first: told to read, then read.
      const follower = await Follower.open(lab)
      copies.push({ follower, mirror: await Mirror.of(lab) })
      await delay(Math.random() * 100)
    }
    changing = false
    await workers
    const last = JSON.stringify((await Mirror.of(lab)).content)
    for (const { follower, mirror } of copies) {
      await eventually('the copy is what the lists say', () => {
        for (const event of follower.events.splice(0)) mirror.apply(event)
        return JSON.stringify(mirror.content) === last
      })
      await follower[Symbol.asyncDispose]()
    }
    for (const id of ['busy-1', 'busy-2']) {
      await lab.fetch(`/clone/${id}`, { method: 'PATCH', json: { protected: false } })
      await remove(id)
    }
  })

  test('say when a clone that waits gets its turn', async () => {
    await using follower = await Follower.open(lab, { query: '?types=clone' })
    const ids = Array.from({ length: 6 }, (_, n) => `queued-${n}`)
    await Promise.all(ids.map((id) => lab.fetch('/clone', { method: 'POST', json: { id, db } })))
    await follower.until('all are there', () => ids.every((id) => follower.statuses(id).at(-1) === 'OK'))
    const last = ids.map((id) => follower.of('clone', id).map(({ clone }) => clone?.queuePosition ?? 0))
    const waited = last.filter((positions) => positions.some((position) => position > 0))
    expect(waited.length).toBeGreaterThan(0)
    for (const positions of waited) expect(positions.at(-1)).toBe(0)
    // Told when its turn came, not only when it was ready.
    for (const [n, positions] of last.entries())
      if (positions.some((position) => position > 0))
        expect(follower.of('clone', `queued-${n}`)).toContainEqual(
          expect.objectContaining({
            clone: expect.objectContaining({ queuePosition: 0, status: expect.objectContaining({ code: 'CREATING' }) }),
          }),
        )
    expect(follower.events.every(({ type }) => type === 'clone' || type === 'resync')).toBe(true)
    for (const id of ids) await remove(id)
  })

  test('tell that a Postgres is started again after it was killed', async () => {
    await using follower = await Follower.open(lab, { query: '?clone=killed' })
    const { pid } = await postmasterOf(urlOf(await people.first.clone({ id: 'killed' }), PASSWORD))
    await follower.until('it is ready', () => follower.statuses('killed').at(-1) === 'OK')
    const before = follower.events.length
    process.kill(pid, 'SIGKILL')
    const since = () => follower.events.slice(before).map(({ clone }) => clone?.status)
    await follower.until('it is ready again', () => since().at(-1)?.message.includes('was killed') ?? false)
    const starting = { code: 'CREATING', message: 'Database is starting again, with the data it had' }
    expect(since()).toContainEqual(starting)
    expect(since().at(-1)?.code).toBe('OK')
    await remove('killed')
  })

  test('tell a member of its own clones alone, and a viewer of all', async () => {
    const viewer = await people.make('viewer', 'viewer')
    await using own = await Follower.open(lab, { token: mine.secret })
    await using others = await Follower.open(lab, { token: theirs.secret })
    await using guessed = await Follower.open(lab, { token: theirs.secret, query: '?clone=of-mine' })
    await using all = await Follower.open(lab, { token: viewer.secret })
    await mine.clone({ id: 'of-mine' })
    await theirs.clone({ id: 'of-theirs' })
    await mine.call('POST', '/snapshot', { cloneId: 'of-mine', id: 'taken-of-mine' })
    // One of the same name, by somebody else.
    await mine.call('DELETE', '/clone/of-mine')
    await own.until('it is gone', () => own.statuses('of-mine').at(-1) === 'deleted')
    await theirs.clone({ id: 'of-mine' })
    await all.until('the second is there', () => all.statuses('of-mine').at(-1) === 'OK')
    await others.until('its own is there', () => others.statuses('of-mine').at(-1) === 'OK')
    expect(own.statuses('of-mine').at(-1)).toBe('deleted')
    expect(own.statuses('of-theirs')).toEqual([])
    expect(others.statuses('of-mine')).not.toContain('deleted')
    expect(new Set(others.of('clone', 'of-mine').map(({ clone }) => clone?.createdAt)).size).toBe(1)
    expect(new Set(all.of('clone', 'of-mine').map(({ clone }) => clone?.createdAt)).size).toBe(3)
    for (const follower of [own, others, all])
      expect(follower.of('snapshot', 'taken-of-mine').length).toBeGreaterThan(0)
    // It sees the snapshot, as it sees it in the list, and of clones those of its own.
    expect(guessed.statuses('of-mine')).not.toContain('deleted')
    for (const id of ['of-mine', 'of-theirs']) await remove(id)
  })

  test('can be narrowed to types, and to what is about one clone', async () => {
    await using snapshots = await Follower.open(lab, { query: '?types=snapshot' })
    await using one = await Follower.open(lab, { query: '?types=snapshot,clone&clone=one' })
    for (const id of ['one', 'two']) expect((await people.first.clone({ id })).id).toBe(id)
    for (const cloneId of ['one', 'two']) {
      const { status } = await people.first.call('POST', '/snapshot', { cloneId, id: `of-${cloneId}` })
      expect(status).toBe(201)
    }
    await snapshots.until('both are there', () => snapshots.of('snapshot', 'of-two').length > 0)
    await delay(200)
    expect(new Set(snapshots.events.map(({ type }) => type))).toEqual(new Set(['resync', 'snapshot']))
    expect(new Set(one.events.map(({ subject }) => subject))).toEqual(new Set(['', 'one', 'of-one']))
    for (const id of ['one', 'two']) await remove(id)
  })

  test('go on behind the last one that was seen, with none missing and none twice', async () => {
    await using whole = await Follower.open(lab, { query: '?clone=resumed' })
    const seen: string[] = []
    await lab.fetch('/clone', { method: 'POST', json: { id: 'resumed', db } })
    await whole.until('it is there', () => whole.events.length > 0)
    const before = whole.events.length
    let { lastEventId } = whole
    for (let n = 0; n < 10; n++) {
      await using part = await Follower.open(lab, { query: '?clone=resumed', ...(lastEventId && { lastEventId }) })
      await lab.fetch('/clone/resumed', { method: 'PATCH', json: { name: `name ${n}` } })
      await part.until('it is renamed', () => part.events.some(({ clone }) => clone?.name === `name ${n}`))
      lastEventId = part.lastEventId
      seen.push(...part.events.map(({ id }) => id))
      // Nobody reads meanwhile.
      await part[Symbol.asyncDispose]()
      await lab.fetch('/clone/resumed', { method: 'PATCH', json: { project: `project ${n}` } })
    }
    await eventually('the whole has all', () => whole.lastEventId !== undefined && whole.events.length > seen.length)
    const expected = whole.events.slice(before).map(({ id }) => id)
    expect(seen).toEqual(expected.slice(0, seen.length))
    await remove('resumed')
  })

  test('end at once when their token is revoked, and when it expires', async () => {
    const doomed = await people.make('doomed', 'viewer')
    const passing = await people.make('passing', 'viewer', new Date(Date.now() + 3000).toISOString())
    await using revoked = await Follower.open(lab, { token: doomed.secret })
    await using expired = await Follower.open(lab, { token: passing.secret })
    const began = performance.now()
    await people.first.call('DELETE', `/token/${doomed.id}`)
    await revoked.ended
    expect(performance.now() - began).toBeLessThan(2000)
    await expired.ended
    expect(performance.now() - began).toBeLessThan(6000)
    for (const { secret } of [doomed, passing]) {
      const again = await Follower.open(lab, { token: secret })
      expect(again.response.status).toBe(401)
    }
  })

  test('are refused to who has too many streams open, until one of them ends', async () => {
    const many = await people.make('many', 'viewer')
    const open = () => Follower.open(lab, { token: many.secret })
    const followers = await Promise.all(Array.from({ length: 128 }, open))
    expect(followers.map(({ response }) => response.status)).not.toContain(503)
    const { detail } = await many.refused('TOO_BUSY', 'GET', '/events')
    expect(detail).toBe('128 streams of this token are open already')
    // Others are not held up by that.
    expect((await Follower.open(lab, { token: mine.secret })).response.status).toBe(200)
    await followers[0]?.[Symbol.asyncDispose]()
    await eventually('there is a place again', async () => {
      const one = await Follower.open(lab, { token: many.secret })
      if (one.response.ok) followers.push(one)
      return one.response.ok
    })
    await Promise.all(followers.map((follower) => follower[Symbol.asyncDispose]()))
  })
})

test('a server that is stopped ends its streams, is not held up by them, and tells all to read anew after', async () => {
  await using lab = await TestLab.make({ driver: 'copy' })
  await lab.start()
  await using before = await Follower.open(lab)
  const others = await Promise.all(Array.from({ length: 20 }, () => Follower.open(lab)))
  const began = performance.now()
  await lab.terminate()
  expect(performance.now() - began).toBeLessThan(4000)
  await Promise.all([before, ...others].map(({ ended }) => ended))
  await lab.start()
  const { lastEventId } = before
  expect(lastEventId).toBeDefined()
  await using after = await Follower.open(lab, { ...(lastEventId && { lastEventId }) })
  await after.until('all is to be read', () => after.events[0]?.type === 'resync')
  // A server that is killed says nothing.
  await lab.kill()
  await after.ended
  expect(lab.output).not.toMatch(/ error /)
})
