import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { apiError, cloneReply, rejection, StubLab, tooBusy } from '../test/stub-lab.ts'
import { type Lab, openLab } from './index.ts'
import { backoffMs } from './retry.ts'

let stub: StubLab
let lab: Lab
beforeEach(async () => {
  stub = await StubLab.start()
  lab = openLab({ url: stub.url })
})
afterEach(async () => {
  await lab.close()
  await stub[Symbol.asyncDispose]()
})

const db = { username: 'u', password: 'p' }
const ok = { body: {} }

describe('a failed request', () => {
  it.each(['cut', 'half'] as const)('is sent again when a GET was %s', async (how) => {
    stub.on('GET /status', how, how, ok)
    await lab.status()
    expect(stub.requests('GET /status')).toHaveLength(3)
  })

  it('is sent again when a DELETE was cut', async () => {
    stub.on('DELETE /snapshot/s1', 'cut', { status: 204 })
    await lab.snapshots.delete('s1')
    expect(stub.received).toHaveLength(2)
  })

  it('is sent again, the very same, when a POST with an Idempotency-Key was cut', async () => {
    stub.on('POST /clone', 'cut', cloneReply('CREATING'))
    await lab.call('POST /clone', { body: { db }, header: { 'Idempotency-Key': 'k1' } })
    const [first, second] = stub.received
    expect(second?.body).toEqual(first?.body)
    expect([first, second].map((one) => one?.headers['idempotency-key'])).toEqual(['k1', 'k1'])
  })

  it('is not sent again when a POST without one was cut, nor a PATCH', async () => {
    stub.on('POST /clone', 'cut').on('PATCH /clone/c1', 'cut').on('POST /snapshot', 'cut')
    await rejection(lab.call('POST /clone', { body: { db } }))
    await rejection(lab.call('PATCH /clone/{id}', { path: { id: 'c1' }, body: {} }))
    await rejection(lab.snapshots.create())
    expect(stub.received).toHaveLength(3)
  })

  it('is sent again after the seconds that a 503 names, and not before', async () => {
    stub.on('GET /status', tooBusy(1), ok)
    await lab.status()
    const [first, second] = stub.received
    expect((second?.at ?? 0) - (first?.at ?? 0)).toBeGreaterThan(1000)
  })

  it.each([
    ['a 503 that names no time', apiError(503, 'CATALOGUE_UNREADABLE')],
    ['a 500', apiError(500, 'INTERNAL_ERROR', {}, { 'retry-after': '0' })],
    ['a proxy’s 502', { status: 502, body: '<h1>Bad Gateway</h1>' }],
    ['a 409', apiError(409, 'CLONE_NOT_READY', {}, { 'retry-after': '0' })],
  ])('is not sent again after %s', async (_what, answer) => {
    stub.on('GET /status', answer)
    await rejection(lab.status())
    expect(stub.received).toHaveLength(1)
  })

  it('throws what the server said at once when the time is over before it may come back', async () => {
    stub.on('GET /status', tooBusy(30))
    const started = performance.now()
    expect(await rejection(lab.status({ timeoutMs: 5_000 }))).toMatchObject({ code: 'TOO_BUSY', retryAfterSeconds: 30 })
    expect(performance.now() - started).toBeLessThan(1000)
  })

  it('is sent as often as the call says, and no more', async () => {
    stub.on('GET /status', 'cut')
    expect(await rejection(lab.status({ retries: 1 }))).toMatchObject({ name: 'LabConnectionError' })
    expect(stub.received).toHaveLength(2)
    await rejection(lab.status({ retries: 0 }))
    expect(stub.received).toHaveLength(3)
  })

  it('is not sent again to what does not speak HTTP', async () => {
    await using wrong = openLab({ url: stub.url.replace('http:', 'https:') })
    const started = performance.now()
    expect(await rejection(wrong.status())).toMatchObject({ name: 'LabConnectionError' })
    expect(performance.now() - started).toBeLessThan(150)
  })

  it('gives up its wait when the signal aborts', async () => {
    stub.on('GET /status', tooBusy(20))
    const controller = new AbortController()
    const called = rejection(lab.status({ signal: controller.signal }))
    await expect.poll(() => stub.received.length).toBe(1)
    const reason = new Error('enough')
    setTimeout(() => controller.abort(reason), 20)
    expect(await called).toBe(reason)
  })

  it.each([-1, 0.5])('is refused %s retries', async (retries) => {
    expect(() => openLab({ url: stub.url, retries })).toThrow(TypeError)
    expect(await rejection(lab.status({ retries }))).toBeInstanceOf(TypeError)
  })
})

describe('the waits between requests', () => {
  it('double up to a limit, less a random part of up to a half', () => {
    for (const [attempt, full] of [
      [0, 200],
      [1, 400],
      [3, 1600],
      [9, 5000],
    ] as const) {
      const delays = Array.from({ length: 200 }, () => backoffMs(attempt, 200, 5000))
      expect(Math.min(...delays)).toBeGreaterThanOrEqual(full / 2)
      expect(Math.max(...delays)).toBeLessThanOrEqual(full)
      expect(new Set(delays).size).toBeGreaterThan(100)
    }
  })
})
