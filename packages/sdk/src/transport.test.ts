import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { rejection, StubLab } from '../test/stub-lab.ts'
import { fetchTransport, type Transport, undiciTransport } from './index.ts'

/** What every transport promises. */
describe.each<[string, () => Transport]>([
  ['undici', undiciTransport],
  ['fetch', fetchTransport],
])('the %s transport', (_name, open) => {
  let stub: StubLab
  let transport: Transport
  beforeEach(async () => {
    stub = await StubLab.start()
    transport = open()
  })
  afterEach(async () => {
    await transport.close()
    await stub[Symbol.asyncDispose]()
  })
  const send = (path: string, signal = new AbortController().signal) =>
    transport.send({ method: 'GET', url: stub.url + path, headers: { 'x-one': '1' }, body: undefined, signal })

  it('sends method, headers and body, and gives the answer whole', async () => {
    stub.on('POST /x', { status: 409, headers: { 'Retry-After': '7' }, body: { told: 'yes' } })
    const { signal } = new AbortController()
    const headers = { 'content-type': 'application/json', 'x-one': '1' }
    const answer = await transport.send({ method: 'POST', url: `${stub.url}/x?a=1`, headers, body: '{"b":2}', signal })
    expect(answer.status).toBe(409)
    expect(answer.header('retry-after')).toBe('7')
    expect(answer.header('x-none')).toBeUndefined()
    expect(answer.body).toBe('{"told":"yes"}')
    expect(stub.received).toMatchObject([
      { method: 'POST', query: { a: '1' }, body: { b: 2 }, headers: { 'x-one': '1' } },
    ])
  })

  it.each(['cut', 'half'] as const)('rejects when the connection is %s', async (how) => {
    stub.on('GET /x', how)
    expect(await rejection(send('/x'))).toBeInstanceOf(Error)
  })

  it('rejects when the signal aborts, and lets the connection go', async () => {
    stub.on('GET /x', 'silent')
    const controller = new AbortController()
    const sent = send('/x', controller.signal)
    await expect.poll(() => stub.received.length).toBe(1)
    controller.abort(new Error('enough'))
    expect(await rejection(sent)).toMatchObject({ message: 'enough' })
    await expect.poll(() => stub.connections()).toBe(0)
  })

  it('does not follow a redirect, which could carry the token elsewhere', async () => {
    stub.on('GET /x', { status: 302, headers: { location: '/elsewhere' } })
    await send('/x').catch(() => undefined)
    expect(stub.requests('GET /elsewhere')).toHaveLength(0)
  })

  describe('as a stream', () => {
    const stream = async (controller = new AbortController()) => {
      const { signal } = controller
      const request = { method: 'GET', url: `${stub.url}/x`, headers: {}, body: undefined, signal }
      const answer = await transport.stream?.(request)
      if (!answer) throw new Error('it has no streams')
      return { ...answer, chunks: answer.body[Symbol.asyncIterator]() }
    }

    it('gives an answer as it comes, characters whole however they are cut', async () => {
      const parts = [Buffer.from('one'), Buffer.from('€').subarray(0, 1), Buffer.from('€').subarray(1)]
      let proceed = () => {}
      stub.on('GET /x', {
        stream: (response) => {
          proceed = () => {
            if (parts.length > 0) response.write(parts.shift())
            else response.end()
          }
          proceed()
        },
      })
      const { status, header, chunks } = await stream()
      expect([status, header('content-type')]).toEqual([200, 'text/event-stream; charset=utf-8'])
      let text = ''
      for (let part = await chunks.next(); !part.done; part = await chunks.next()) {
        text += part.value
        proceed()
        // Nothing of half a character comes before its rest.
        if (parts.length > 0) setTimeout(proceed, 20)
      }
      expect(text).toBe('one€')
    })

    it('throws when it is cut', async () => {
      stub.on('GET /x', { stream: (response) => response.write('begun', () => response.destroy()) })
      const { chunks } = await stream()
      const read = async () => {
        while (!(await chunks.next()).done);
      }
      expect(await rejection(read())).toBeInstanceOf(Error)
    })

    it('lets the connection go when the signal aborts', async () => {
      stub.on('GET /x', { stream: (response) => void response.write('begun') })
      const controller = new AbortController()
      const { chunks } = await stream(controller)
      expect((await chunks.next()).value).toBe('begun')
      const pending = rejection(chunks.next())
      controller.abort()
      expect(await pending).toBeInstanceOf(Error)
      await expect.poll(() => stub.connections()).toBe(0)
    })
  })

  it('can be closed twice', async () => {
    await transport.close()
    await transport.close()
  })
})

describe('the undici transport', () => {
  it('keeps its connections for later requests', async () => {
    await using stub = await StubLab.start()
    stub.on('GET /x', { body: {} })
    const transport = undiciTransport()
    const { signal } = new AbortController()
    for (let i = 0; i < 10; i += 1) {
      await transport.send({ method: 'GET', url: `${stub.url}/x`, headers: {}, body: undefined, signal })
    }
    // A second one is opened when the first has not been handed back yet.
    expect(await stub.connections()).toBeLessThanOrEqual(2)
    await transport.close()
    await expect.poll(() => stub.connections()).toBe(0)
  })
})
