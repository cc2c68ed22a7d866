import { setTimeout as delay } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { EventSource } from '../test/event-source.ts'
import { apiError, rejection, StubLab, tooBusy } from '../test/stub-lab.ts'
import { Client } from './client.ts'
import { type FollowPace, LabEvents } from './events.ts'
import { fetchTransport, type Lab, type LabEvent, openLab, type Transport, undiciTransport } from './index.ts'

const PACE: FollowPace = { silenceMs: 5_000, pauseMs: 10, longestPauseMs: 100 }

describe.each<[string, () => Transport]>([
  ['undici', undiciTransport],
  ['fetch', fetchTransport],
])('the events of a lab over %s', (_name, transport) => {
  let stub: StubLab
  let source: EventSource
  let lab: Lab
  beforeEach(async () => {
    stub = await StubLab.start()
    source = new EventSource()
    stub.on('GET /events', source.open)
    lab = openLab({ url: stub.url, token: 'token-of-the-lab', transport: transport() })
  })
  afterEach(async () => {
    await lab.close()
    await stub[Symbol.asyncDispose]()
  })

  const next = async (events: LabEvents): Promise<LabEvent> => {
    const { value, done } = await events.next()
    if (done || !value) throw new Error('there are no more events')
    return value
  }

  it('come as they are told, of what was asked for', async () => {
    const events = lab.events({ types: ['clone', 'snapshot'], clone: 'c1' })
    expect(await next(events)).toMatchObject({ type: 'resync' })
    for (const subject of ['a', 'ü 😀', 'c']) {
      source.tell({ subject })
      expect(await next(events)).toMatchObject({ subject })
    }
    expect(stub.streams).toMatchObject([
      {
        query: { types: 'clone,snapshot', clone: 'c1' },
        headers: { accept: 'text/event-stream', authorization: 'Bearer token-of-the-lab' },
      },
    ])
    await events.return()
  })

  it.each(['break', 'await using', 'return() while one is awaited', 'abort', 'close'])(
    'let the connection go on %s',
    async (how) => {
      const controller = new AbortController()
      const events = lab.events({ signal: controller.signal })
      await next(events)
      const reason = new Error('enough')
      const settled = how === 'break' ? undefined : events.next().catch((error: unknown) => error)
      await delay(20)
      if (how === 'break') {
        for (const subject of ['seen', 'unseen']) source.tell({ subject })
        for await (const _ of events) break
      }
      if (how === 'await using') await events[Symbol.asyncDispose]()
      if (how.startsWith('return')) await events.return()
      if (how === 'abort') controller.abort(reason)
      if (how === 'close') await lab.close()
      if (how === 'abort') expect(await settled).toBe(reason)
      else if (settled) expect(await settled).toEqual({ done: true, value: undefined })
      expect(await events.next()).toEqual({ done: true, value: undefined })
      await expect.poll(() => source.isOpen).toBe(false)
      expect(stub.streams).toHaveLength(1)
    },
  )

  it('go on behind the last one when the connection is cut, with none missing and none twice', async () => {
    const events = lab.events()
    await next(events)
    const subjects: string[] = []
    for (let n = 0; n < 12; n++) {
      source.tell({ subject: `${n}` })
      if (n % 4 === 1) source.end('end')
      if (n % 4 === 3) source.end('destroy')
      // The last that were told before a cut may have gone with it.
      subjects.push((await next(events)).subject)
    }
    expect(subjects).toEqual(Array.from({ length: 12 }, (_, n) => `${n}`))
    expect(stub.streams.length).toBeGreaterThan(4)
    expect(stub.streams.at(-1)?.headers['last-event-id']).toMatch(/^e1-\d+$/)
    await events.return()
  })

  it('begin behind an event that somebody saw before', async () => {
    source.tell({ subject: 'seen' })
    source.tell({ subject: 'unseen' })
    const events = lab.events({ lastEventId: 'e1-1' })
    expect(await next(events)).toMatchObject({ subject: 'unseen' })
    await events.return()
  })

  it.each([
    ['too busy', tooBusy(0)],
    ['in trouble', apiError(500, 'INTERNAL_ERROR')],
    ['stopping', apiError(503, 'SHUTTING_DOWN', {}, { 'retry-after': '0' })],
    ['cut off', 'cut'],
  ] as const)('come once a lab that is %s is well again', async (_what, answer) => {
    stub.on('GET /events', answer, answer, source.open)
    const events = lab.events()
    expect(await next(events)).toMatchObject({ type: 'resync' })
    expect(stub.streams).toHaveLength(3)
    await events.return()
  })

  it.each([
    ['the token ends', apiError(401, 'UNAUTHORIZED'), { code: 'UNAUTHORIZED' }],
    ['the token may not', apiError(403, 'FORBIDDEN'), { code: 'FORBIDDEN' }],
    ['the server is older', apiError(404, 'PATH_NOT_FOUND'), { code: 'PATH_NOT_FOUND' }],
    ['it is no lab', { status: 200, body: '<h1>Welcome</h1>' }, { code: 'UNKNOWN', detail: 'Welcome' }],
  ] as const)('end with an error when %s', async (_when, answer, expected) => {
    stub.on('GET /events', source.open, answer)
    const events = lab.events()
    await next(events)
    source.end()
    expect(await rejection(events.next())).toMatchObject({ name: 'LabApiError', ...expected })
    expect(await events.next()).toEqual({ done: true, value: undefined })
    expect(stub.streams).toHaveLength(2)
  })

  it('are read from another connection when one is dead, and not while it breathes', async () => {
    await lab.close()
    const client = new Client({ url: stub.url }, transport())
    const events = new LabEvents(client, { pace: { ...PACE, silenceMs: 150 } })
    await next(events)
    const pending = events.next()
    for (let n = 0; n < 5; n++) {
      source.breathe()
      await delay(60)
    }
    expect(stub.streams).toHaveLength(1)
    await expect.poll(() => stub.streams.length, { timeout: 2000 }).toBe(2)
    source.tell({ subject: 'there again' })
    expect((await pending).value).toMatchObject({ subject: 'there again' })
    // That its reader takes its time is no death.
    await delay(300)
    const { length } = stub.streams
    source.tell({ subject: 'one more' })
    await delay(10)
    expect(stub.streams.length).toBe(length)
    await events.return()
    await client.close()
  })
})

it('events can not be had over a transport that has no streams', async () => {
  const { send, close } = undiciTransport()
  await using lab = openLab({ url: 'http://127.0.0.1:1', transport: { send, close } })
  expect(await rejection(lab.events().next())).toBeInstanceOf(TypeError)
})

it.each(['', 'a\nb', 'ü'])('events can not be had behind "%s", which can not be sent', async (lastEventId) => {
  await using lab = openLab({ url: 'http://127.0.0.1:1' })
  expect(() => lab.events({ lastEventId })).toThrow(TypeError)
})

it('events can not be had from where no lab will be', async () => {
  await using stub = await StubLab.start()
  await using lab = openLab({ url: stub.url.replace('http:', 'https:') })
  expect(await rejection(lab.events().next())).toMatchObject({ name: 'LabConnectionError' })
})
