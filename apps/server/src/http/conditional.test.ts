import { setTimeout as delay, setImmediate as turn } from 'node:timers/promises'
import type { Clone, Instance } from '@dblab/models'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type FullApp, fullApp } from '../../test/support/full-app.ts'
import { cloneRow, snapshotRow } from '../../test/support/rows.ts'

let app: FullApp
beforeAll(async () => {
  app = await fullApp()
  for (const number of [1, 2, 3]) app.catalogue.clones.add(cloneRow(number))
})
afterAll(() => app[Symbol.asyncDispose]())

const CLONE = `/clone/${cloneRow(1).id}`
const PATHS = [CLONE, '/clones', '/snapshots', '/status', '/retrieval']

async function tagOf(path: string): Promise<string> {
  const response = await app.fetch(path)
  await response.arrayBuffer()
  return response.headers.get('ETag') ?? ''
}

async function ask(path: string, tag: string, init: RequestInit = {}) {
  const response = await app.fetch(path, { 'If-None-Match': tag }, init)
  return { status: response.status, headers: response.headers, text: await response.text() }
}

describe.each(PATHS)('GET %s', (path) => {
  test('may be kept, and is to be asked for again', async () => {
    const { status, headers } = await app.fetch(path)
    expect([status, headers.get('Cache-Control')]).toEqual([200, 'private, no-cache'])
    expect(headers.get('ETag')).toMatch(/^W\/"[\w-]{22}"$/)
  })

  test('is answered 304 without a body to who has it, and whole to all others', async () => {
    const tag = await tagOf(path)
    for (const named of [tag, tag.replace('W/', ''), `"other", ${tag}`, `"other",${tag} , W/"x"`, '*']) {
      const { status, headers, text } = await ask(path, named)
      expect([status, text], named).toEqual([304, ''])
      expect([headers.get('ETag'), headers.get('Cache-Control')]).toEqual([tag, 'private, no-cache'])
    }
    for (const named of ['"other"', '', tag.slice(0, -2), tag.replaceAll('"', '')]) {
      const { status, text } = await ask(path, named)
      expect([status, text.length > 0], named).toEqual([200, true])
    }
  })

  test('is the same to HEAD', async () => {
    const tag = await tagOf(path)
    expect(await ask(path, tag, { method: 'HEAD' })).toMatchObject({ status: 304, text: '' })
    const whole = await app.fetch(path, {}, { method: 'HEAD' })
    expect([whole.status, whole.headers.get('ETag')]).toEqual([200, tag])
  })
})

test('nothing else is kept, or has an ETag: errors, changes, and what only admins read', async () => {
  const json = { 'Content-Type': 'application/json' }
  const answers = [
    await app.fetch('/clone/none', { 'If-None-Match': '*' }),
    await app.fetch('/clones', { Authorization: 'Bearer wrong', 'If-None-Match': '*' }),
    await app.fetch('/tokens', { 'If-None-Match': '*' }),
    await app.fetch('/audit'),
    await app.fetch('/healthz'),
    await app.fetch(CLONE, json, { method: 'PATCH', body: '{"name":"renamed"}' }),
  ]
  expect(answers.map(({ status }) => status)).toEqual([404, 401, 200, 200, 200, 200])
  for (const { url, headers } of answers) {
    expect([headers.get('Cache-Control'), headers.get('ETag')], url).toEqual(['no-store', null])
  }
})

describe('the ETag is another', () => {
  /** Which of the answers have another ETag by what is done. */
  async function changedBy(work: () => unknown): Promise<string[]> {
    const before = await Promise.all(PATHS.map(tagOf))
    await work()
    const after = await Promise.all(PATHS.map(tagOf))
    return PATHS.filter((_, at) => before[at] !== after[at])
  }
  const ofClones = [CLONE, '/clones', '/status']
  const { id } = cloneRow(1)

  test('once a row was written that shows, and not otherwise', async () => {
    const { clones } = app.catalogue
    expect(await changedBy(() => clones.update(id, { message: 'new' }))).toEqual(ofClones)
    expect(await changedBy(() => clones.update(id, { message: 'new' }))).toEqual([])
    expect(await changedBy(() => clones.update(id, { lastUsedAt: new Date().toISOString() }))).toEqual([])
    const undone = () => {
      clones.update(id, { message: 'never' })
      throw new Error('no')
    }
    expect(await changedBy(() => expect(() => app.catalogue.transaction(undone)).toThrow('no'))).toEqual([])
  })

  test('when a clone comes or goes, on whose snapshot it counts', async () => {
    const { clones } = app.catalogue
    const lists = ['/clones', '/snapshots', '/status']
    expect(await changedBy(() => clones.add(cloneRow(9)))).toEqual(lists)
    expect(await changedBy(() => clones.delete(cloneRow(9).id))).toEqual(lists)
  })

  test('when a snapshot comes or changes', async () => {
    const { snapshots } = app.catalogue
    const lists = ['/snapshots', '/status']
    const add = () => snapshots.restore(snapshotRow('newer', { timestamp: '2027-01-01T00:00:00.000Z' }))
    // GET /retrieval tells how old the data is.
    expect(await changedBy(add)).toEqual([...lists, '/retrieval'])
    expect(await changedBy(() => snapshots.update('newer', { protected: true, message: '' }))).toEqual(lists)
  })

  test('when a quota becomes known, and when a Postgres starts, is down or silent, and answers again', async () => {
    const { sizes, restarts } = app.lifecycle
    expect(await changedBy(() => sizes.quotas.set(id, 1e9))).toEqual(ofClones)
    expect(await changedBy(() => sizes.quotas.set(id, 2e9))).toEqual(ofClones)
    expect(await changedBy(() => sizes.forget(id))).toEqual(ofClones)
    expect(await changedBy(() => restarts.noteSilent(id, 7))).toEqual(ofClones)
    expect(await changedBy(() => restarts.noteAnswer(id))).toEqual(ofClones)
    expect(await changedBy(() => restarts.noteDown(id, new Error('no room')))).toEqual(ofClones)
    expect(await changedBy(() => restarts.forget(id))).toEqual(ofClones)
    expect(await changedBy(() => restarts.markStarting(id))).toEqual(ofClones)
    // It is no clone with a volume: there is nothing to start.
    expect(await changedBy(() => restarts.restart(id))).toEqual(ofClones)
  })

  test('when its place in the queue is another', async () => {
    const ends: (() => void)[] = []
    const job = async (key: string) => {
      const { promise, resolve } = Promise.withResolvers<void>()
      ends.push(resolve)
      void app.jobs.add(key, () => promise, { asker: { tokenId: null, username: '' } })
      await turn()
    }
    await job('runs')
    await job('waits')
    expect(await changedBy(() => job(id))).toEqual(ofClones)
    const next = async () => {
      ends.shift()?.()
      await turn()
    }
    expect(await changedBy(next)).toEqual(ofClones)
    expect(await changedBy(next)).toEqual(ofClones)
    expect(await changedBy(next)).toEqual([])
  })

  test('of GET /status, when the disk was looked at', async () => {
    expect(await changedBy(() => app.disk.refresh())).toEqual(['/status'])
  })
})

test('what one member has is not what another has', async () => {
  const tokens = ['one', 'two'].map((name) => app.token(name, 'member'))
  const [one, two] = tokens.map((token) => ({ Authorization: `Bearer ${token}` }))
  const own = await app.fetch('/clones', one)
  expect(await own.json()).toEqual([])
  // That of the other is empty too, and so the same; that of the first token is not.
  const tag = own.headers.get('ETag') ?? ''
  expect((await app.fetch('/clones', { ...two, 'If-None-Match': tag })).status).toBe(304)
  expect((await app.fetch('/clones', { 'If-None-Match': tag })).status).toBe(200)
  expect((await app.fetch('/clones', { ...two, 'If-None-Match': await tagOf('/clones') })).status).toBe(200)
})

describe('with wait', () => {
  const { id } = cloneRow(4)
  const path = `/clone/${id}`
  beforeAll(() => app.catalogue.clones.add(cloneRow(4, { status: 'CREATING', message: 'making' })))

  test('it is held until the clone is ready, and then compared', async () => {
    const answer = ask(`${path}?wait=30`, await tagOf(path))
    const isOver = await Promise.race([answer.then(() => true), delay(100, false)])
    expect(isOver).toBe(false)
    app.lifecycle.books.declareFatal(id, 'why')
    const { status, text } = await answer
    expect([status, (JSON.parse(text) as Clone).status]).toEqual([200, { code: 'FATAL', message: 'why' }])
  })

  test('who has seen it ready is told at once that nothing is new', async () => {
    expect(await ask(`${path}?wait=30`, await tagOf(path))).toMatchObject({ status: 304 })
  })

  test('it is 304 when the time is over and nothing is new', async () => {
    app.catalogue.clones.update(id, { status: 'RESETTING' })
    const begun = performance.now()
    expect(await ask(`${path}?wait=1`, await tagOf(path))).toMatchObject({ status: 304 })
    expect(performance.now() - begun).toBeGreaterThan(950)
  })
})

test('who keeps what a 304 lets it keep has what it would be sent', { timeout: 30_000 }, async () => {
  const kept = new Map<string, { tag: string; text: string }>()
  // The same in each run.
  let state = 1
  const random = (below: number) => {
    state = (state * 48_271) % 2_147_483_647
    return Math.floor((state / 2_147_483_647) * below)
  }
  let hits = 0
  for (let step = 0; step < 60; step++) {
    const number = random(6)
    const { id } = cloneRow(number)
    const { clones } = app.catalogue
    const there = clones.get(id)
    const change = random(5)
    if (!there) clones.add(cloneRow(number))
    else if (change === 0) clones.delete(id)
    else if (change === 1) clones.update(id, { size: random(3) })
    else if (change === 2) app.lifecycle.sizes.quotas.set(id, random(3))
    else if (change === 3) app.lifecycle.restarts.noteSilent(id, random(3))
    for (const path of ['/clones', '/status', '/snapshots', '/clones?limit=2']) {
      const before = kept.get(path)
      const [answer, whole] = [await ask(path, before?.tag ?? ''), await (await app.fetch(path)).text()]
      if (answer.status === 304) hits++
      else kept.set(path, { tag: answer.headers.get('ETag') ?? '', text: answer.text })
      expect(kept.get(path)?.text, path).toBe(whole)
    }
  }
  expect(hits).toBeGreaterThan(20)
  expect((JSON.parse(kept.get('/status')?.text ?? '') as Instance).clones).toEqual(
    JSON.parse(kept.get('/clones')?.text ?? ''),
  )
})
