import { setTimeout as delay } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { EventSource } from '../test/event-source.ts'
import {
  after,
  apiError,
  cloneBody,
  cloneGone,
  cloneReply,
  type Handler,
  rejection,
  StubLab,
  tooBusy,
} from '../test/stub-lab.ts'
import { Client } from './client.ts'
import { defaultPace } from './clone-wait.ts'
import { Clones } from './clones.ts'
import type { Clone } from './index.ts'
import { undiciTransport } from './undici.ts'

let stub: StubLab
let source: EventSource
let client: Client
let clones: Clones
/** The clones of the lab, by id: what GET answers. */
let codes: Map<string, string>
beforeEach(async () => {
  stub = await StubLab.start()
  source = new EventSource()
  codes = new Map()
  client = new Client({ url: stub.url }, undiciTransport())
  clones = new Clones(client, { ...defaultPace, pollMs: 20, longestPollMs: 40, beginMs: 2_000 })
  stub.on('GET /events', source.open)
  stub.on('POST /clone', { status: 201, body: cloneBody('CREATING') })
  stub.on('GET /clone/c1', look)
  become('CREATING')
  stub.on('DELETE /clone/c1', () => {
    become('DELETING')
    return { status: 202, body: cloneBody('DELETING') }
  })
})
afterEach(async () => {
  await client.close()
  await stub[Symbol.asyncDispose]()
})

const look: Handler = ({ path }) => {
  const id = path.split('/').at(-1) ?? ''
  const code = codes.get(id)
  return code === undefined ? cloneGone : cloneReply(code, { id })
}

/** What GET answers from now on; told by an event, unless it is gone before that. */
function become(code: string | undefined, id = 'c1'): void {
  if (code === undefined) codes.delete(id)
  else codes.set(id, code)
}

function tell(code: string | undefined, id = 'c1'): void {
  become(code, id)
  if (code === undefined) source.tell({ subject: id, action: 'deleted' })
  else source.tell({ subject: id, clone: cloneBody(code, { id }) as unknown as Clone })
}

const asked = (operation = 'GET /clone/c1') => stub.requests(operation).length
const looked = async (times: number) => expect.poll(() => asked(), { timeout: 3000 }).toBe(times)

describe('waiting by events', () => {
  it('looks once when it begins, and once when there is something to see', async () => {
    const created = clones.create()
    await looked(1)
    // About others, and what it knows already.
    for (let n = 0; n < 20; n++) {
      tell('OK', `other-${n}`)
      tell('CREATING')
    }
    await delay(200)
    expect(asked()).toBe(1)
    tell('OK')
    expect((await created).status.code).toBe('OK')
    expect(stub.received.map(({ method, query }) => [method, query])).toEqual([
      ['POST', {}],
      ['GET', {}],
      ['GET', {}],
    ])
    expect(stub.streams.map(({ query }) => query)).toEqual([{ types: 'clone' }])
    await expect.poll(() => source.isOpen).toBe(false)
  })

  it('misses nothing that happens before the first look, or while it is under way', async () => {
    let during = () => {}
    stub.on('GET /clone/c1', async () => {
      const seen = cloneReply(codes.get('c1') ?? '')
      during()
      await delay(50)
      return seen
    })
    // It is ready when the answer that it is not is on its way.
    during = () => {
      during = () => {}
      tell('OK')
    }
    await clones.create()
    expect(asked()).toBe(2)
    // Or before there is a stream at all.
    become('OK')
    await clones.create()
    expect(asked()).toBe(3)
  })

  it('believes no event that is older than what it was told', async () => {
    stub.on('POST /clone/c1/reset', { status: 202, body: cloneBody('RESETTING') })
    become('OK')
    const clone = await clones.get('c1')
    become('RESETTING')
    let isReset = false
    const reset = clone.reset().then(() => {
      isReset = true
    })
    await looked(2)
    // Told before the reset, and late.
    source.tell({ subject: 'c1', clone: cloneBody('OK') as unknown as Clone })
    await looked(3)
    await delay(50)
    expect(isReset).toBe(false)
    tell('OK')
    await reset
  })

  it('fails, and deletes, as by asking', async () => {
    const created = rejection(clones.create())
    await looked(1)
    tell('FATAL')
    expect(await created).toMatchObject({ name: 'CloneFailedError' })
    expect(asked('DELETE /clone/c1')).toBe(1)
    become('OK')
    const deleted = clones.delete('c1')
    await looked(3)
    tell(undefined)
    await deleted
    expect(asked()).toBe(4)
  })

  it('ends with its time, and lets the stream go', async () => {
    expect(await rejection(clones.create({}, { timeoutMs: 300, keepOnFailure: true }))).toMatchObject({
      name: 'LabTimeoutError',
    })
    expect(stub.streams).toHaveLength(1)
    await expect.poll(() => source.isOpen).toBe(false)
  })

  it('is one stream for two hundred, each of which looks twice', async () => {
    const ids = Array.from({ length: 200 }, (_, n) => `c-${n}`)
    stub.on('POST /clone', ({ body }) => {
      const { id } = body as { id: string }
      become('CREATING', id)
      return { status: 201, body: cloneBody('CREATING', { id }) }
    })
    for (const id of ids) stub.on(`GET /clone/${id}`, look)
    const created = ids.map((id) => clones.create({ id }))
    await expect.poll(() => stub.received.length, { timeout: 10_000 }).toBe(400)
    for (const id of ids) tell('OK', id)
    await Promise.all(created)
    expect(stub.received).toHaveLength(600)
    expect(stub.streams).toHaveLength(1)
    await expect.poll(() => source.isOpen).toBe(false)
  }, 20_000)

  it('looks now and then, however quiet it is', async () => {
    clones = new Clones(client, { ...defaultPace, lookMs: 100 })
    const created = clones.create()
    await looked(2)
    // Nobody tells.
    become('OK')
    await created
  })

  it('goes on over a cut, asking meanwhile, and misses nothing', async () => {
    source.pauseMs = 300
    const created = clones.create()
    await looked(1)
    source.end('destroy')
    await expect.poll(() => asked()).toBeGreaterThan(2)
    await expect.poll(() => stub.streams.length, { timeout: 3000 }).toBe(2)
    await delay(200)
    const before = asked()
    await delay(300)
    expect(asked()).toBe(before)
    tell('OK')
    await created
    expect(asked()).toBe(before + 1)
  })
})

describe('waiting without events', () => {
  it.each([
    ['an older server', apiError(404, 'PATH_NOT_FOUND')],
    ['one that knows no viewer of it', apiError(403, 'FORBIDDEN')],
    ['a proxy’s page', { body: '<h1>Welcome</h1>' }],
  ])('asks %s, and does not try the stream again', async (_what, answer) => {
    stub.on('GET /events', answer)
    for (const _ of ['once', 'twice']) {
      stub.on('GET /clone/c1', after(50, cloneReply('OK')))
      await clones.create()
    }
    expect(stub.streams).toHaveLength(1)
    expect(stub.received.map(({ method, query }) => [method, query.wait])).toEqual([
      ['POST', undefined],
      ['GET', '25'],
      ['POST', undefined],
      ['GET', '25'],
    ])
  })

  it('asks while there are too many streams, and takes one as soon as there is a place', async () => {
    stub.on('GET /events', tooBusy(0), source.open)
    const created = clones.create()
    await expect.poll(() => stub.streams.length, { timeout: 3000 }).toBe(2)
    expect(asked()).toBeGreaterThan(0)
    await delay(200)
    const before = asked()
    tell('OK')
    await created
    expect(asked()).toBe(before + 1)
  })

  it('asks where something in between holds the stream back', async () => {
    clones = new Clones(client, { ...defaultPace, beginMs: 200 })
    source.begins = false
    stub.on('GET /clone/c1', after(50, cloneReply('OK')))
    const began = performance.now()
    await clones.create()
    expect(performance.now() - began).toBeGreaterThan(200)
    expect(stub.requests('GET /clone/c1')[0]?.query).toEqual({ wait: '25' })
    await clones.create()
    expect(stub.streams).toHaveLength(1)
    await expect.poll(() => source.isOpen).toBe(false)
  })

  it('throws what the lab says when its token ends', async () => {
    const unauthorized = apiError(401, 'UNAUTHORIZED')
    stub.on('GET /events', source.open, unauthorized)
    const created = rejection(clones.create({}, { keepOnFailure: true }))
    await looked(1)
    stub.on('GET /clone/c1', unauthorized)
    source.end()
    expect(await created).toMatchObject({ code: 'UNAUTHORIZED' })
  })
})
