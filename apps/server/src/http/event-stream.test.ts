import { once } from 'node:events'
import { createServer } from 'node:http'
import { connect, type Socket } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import type { Response } from 'express'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { EventHub } from '../events/event-hub.ts'
import { EventReader } from '../events/event-reader.ts'
import { type StreamPace, streamEvents } from './event-stream.ts'

const patient: StreamPace = { heartbeatMs: 60_000, stallMs: 60_000 }

let hub: EventHub
let pace: StreamPace
let mayGoOn: boolean
let stopping: AbortController
/** How each stream ended. */
let ends: Promise<void>[]
let response: Response | undefined
let socket: Socket | undefined

const server = createServer((request, answer) => {
  // As much of Express as the stream needs.
  response = Object.assign(answer, { status: () => answer }) as unknown as Response
  const gone = new AbortController()
  answer.once('close', () => gone.abort())
  const lastEventId = request.headers['last-event-id']
  const reader = new EventReader({
    hub,
    place: { [Symbol.dispose]: () => {} },
    wants: () => true,
    mayGoOn: () => mayGoOn,
    lastEventId: typeof lastEventId === 'string' ? lastEventId : undefined,
  })
  ends.push(streamEvents(reader, response, AbortSignal.any([gone.signal, stopping.signal]), pace))
})

beforeEach(async () => {
  hub = new EventHub()
  pace = patient
  mayGoOn = true
  stopping = new AbortController()
  ends = []
  response = undefined
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
})

afterEach(async () => {
  socket?.destroy()
  server.closeAllConnections()
  server.close()
  await once(server, 'close')
  await Promise.all(ends)
})

/** A client that reads when it is told to. */
async function open(): Promise<Socket> {
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no TCP address')
  socket = connect(address.port, '127.0.0.1')
  socket.write('GET / HTTP/1.1\r\nHost: lab\r\n\r\n')
  await once(server, 'request')
  return socket
}

function gather(from: Socket): () => string {
  let text = ''
  from.on('data', (chunk) => {
    text += chunk
  })
  return () => text
}

const publish = (subject: string) => hub.publish({ type: 'clone', action: 'changed', subject })

test('events go out as they come, in one order, and a silence is broken by comments', async () => {
  pace = { ...patient, heartbeatMs: 100 }
  const text = gather(await open())
  for (const name of ['a', 'b', 'c']) {
    publish(name)
    await expect.poll(text).toContain(`"subject":"${name}"`)
  }
  expect(text()).toMatch(/"type":"resync".*"subject":"a".*"subject":"b".*"subject":"c"/s)
  expect(text()).toMatch(/^retry: \d+\r?\n/m)
  await expect.poll(() => text().split(': still there').length, { timeout: 2000 }).toBeGreaterThan(3)
})

const BIG = 'x'.repeat(300_000)

/** Until what a client does not read has filled the buffers of the kernel as well. Returns how many it took. */
async function publishUntil(isEnough: () => boolean): Promise<number> {
  let published = 0
  for (; !isEnough() && published < 500; published++) {
    publish(`${BIG}-${published}`)
    await delay(5)
  }
  expect(isEnough()).toBe(true)
  return published
}

test('a client that does not read is cut off, costs no memory until then, and loses nobody else an event', async () => {
  pace = { ...patient, stallMs: 300 }
  const slow = await open()
  slow.pause()
  const slowResponse = response
  const text = gather(await open())
  let buffered = 0
  const published = await publishUntil(() => {
    buffered = Math.max(buffered, slowResponse?.writableLength ?? 0)
    return slowResponse?.destroyed ?? false
  })
  expect(buffered).toBeGreaterThan(0)
  expect(buffered).toBeLessThan(2 * BIG.length)
  expect(published * BIG.length).toBeGreaterThan(5 * buffered)
  await expect.poll(text).toContain(`-${published - 1}"`)
  expect(text().match(/"type":"resync"/g)).toHaveLength(1)
  slow.destroy()
}, 20_000)

test('a client that was slow and reads again is told that it has to read everything, and then what comes', async () => {
  const slow = await open()
  slow.pause()
  await publishUntil(() => response?.writableNeedDrain ?? false)
  // As many again as are kept.
  for (let n = 0; n < 20; n++) publish(`${BIG}-lost-${n}`)
  const text = gather(slow)
  slow.resume()
  await expect.poll(() => text().match(/"type":"resync"/g), { timeout: 5000 }).toHaveLength(2)
  publish('the last')
  await expect.poll(text).toContain('"subject":"the last"')
}, 20_000)

test.each([
  [
    'its token ends',
    () => {
      mayGoOn = false
      hub.wake()
    },
  ],
  ['the server stops', () => stopping.abort()],
])('it ends when %s, and nothing is sent after', async (when, end) => {
  const client = await open()
  const text = gather(client)
  await expect.poll(text).toContain('resync')
  publish('unseen')
  end()
  await once(client, 'close')
  publish('too late')
  expect(text()).not.toContain('too late')
  if (when === 'its token ends') expect(text()).not.toContain('unseen')
  expect(text()).toMatch(/\r\n0\r\n\r\n$/)
})

test('a client that does not read holds up no stop', async () => {
  const client = await open()
  client.pause()
  await publishUntil(() => response?.writableNeedDrain ?? false)
  const began = performance.now()
  stopping.abort()
  await Promise.all(ends)
  await expect.poll(() => response?.destroyed).toBe(true)
  expect(performance.now() - began).toBeLessThan(1000)
}, 20_000)
