import { once } from 'node:events'
import { createServer } from 'node:net'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { apiError, cloneReply, rejection, StubLab } from '../test/stub-lab.ts'
import {
  errorCodes,
  isLabApiError,
  type Lab,
  LabApiError,
  LabConnectionError,
  LabTimeoutError,
  openLab,
} from './index.ts'

let stub: StubLab
let lab: Lab
beforeEach(async () => {
  stub = await StubLab.start()
  lab = openLab({ url: stub.url, token: 'token-of-the-lab', retries: 0 })
})
afterEach(async () => {
  await lab.close()
  await stub[Symbol.asyncDispose]()
})

describe('a call', () => {
  it('sends the token, what it accepts and who it is', async () => {
    stub.on('GET /status', { body: {} })
    await lab.status()
    expect(stub.received[0]?.headers).toMatchObject({
      authorization: 'Bearer token-of-the-lab',
      accept: 'application/json',
      'user-agent': expect.stringMatching(/^dblab-sdk\/\d/),
    })
  })

  it('puts path, query, header and body where they belong', async () => {
    stub.on('GET /clone/a%2Fb%20c', cloneReply('OK')).on('POST /clone', cloneReply('OK'))
    await lab.call('GET /clone/{id}', { path: { id: 'a/b c' }, query: { wait: 5 } })
    const body = { db: { username: 'u', password: 'p' } }
    await lab.call('POST /clone', { body, header: { 'Idempotency-Key': 'k1' } })
    expect(stub.received).toMatchObject([
      { query: { wait: '5' } },
      { body, query: {}, headers: { 'idempotency-key': 'k1', 'content-type': 'application/json' } },
    ])
  })

  it.each(['', '/', '/labs/one', '/labs/one/'])('finds a lab at the path "%s"', async (prefix) => {
    stub.on(`GET ${prefix.replace(/\/$/, '')}/healthz`, { body: { status: 'OK', version: '1' } })
    await using prefixed = openLab({ url: stub.url + prefix })
    expect(await prefixed.health()).toEqual({ status: 'OK', version: '1' })
    expect(stub.received[0]?.headers.authorization).toBeUndefined()
  })

  it('gives undefined for an answer without a body', async () => {
    stub.on('DELETE /snapshot/s1', { status: 204 })
    expect(await lab.call('DELETE /snapshot/{id}', { path: { id: 's1' } })).toBeUndefined()
  })

  it.each(['', '.', '..'])('refuses "%s" as an id, which would ask for another path', async (id) => {
    expect(await rejection(lab.call('DELETE /clone/{id}', { path: { id } }))).toBeInstanceOf(TypeError)
    expect(stub.received).toHaveLength(0)
  })

  it('keeps fields that this version does not know', async () => {
    stub.on('GET /status', { body: { status: { code: 'OK' }, fromTheFuture: 1 } })
    expect(await lab.status()).toHaveProperty('fromTheFuture', 1)
  })
})

describe('a refused call', () => {
  it.each(errorCodes)('has the code %s', async (code) => {
    stub.on('GET /status', apiError(409, code))
    expect(await rejection(lab.status())).toMatchObject({ code, rawCode: code })
  })

  it('has all that the server told', async () => {
    stub.on('GET /clone/c1', apiError(404, 'CLONE_NOT_FOUND', { detail: 'no c1' }, { 'retry-after': '3' }))
    const error = await rejection(lab.call('GET /clone/{id}', { path: { id: 'c1' }, query: { wait: 9 } }))
    expect(error).toBeInstanceOf(LabApiError)
    expect(error).toMatchObject({
      name: 'LabApiError',
      status: 404,
      title: 'Name of CLONE_NOT_FOUND',
      hint: 'Hint of CLONE_NOT_FOUND',
      detail: 'no c1',
      requestId: 'r-1',
      method: 'GET',
      path: '/clone/c1',
      retryAfterSeconds: 3,
      message:
        'Name of CLONE_NOT_FOUND: no c1. Hint of CLONE_NOT_FOUND (GET /clone/c1, 404 CLONE_NOT_FOUND, request r-1)',
    })
    expect(isLabApiError(error, 'CLONE_NOT_FOUND', 'CLONE_PROTECTED')).toBe(true)
    expect(isLabApiError(error, 'CLONE_PROTECTED')).toBe(false)
  })

  it('has the code UNKNOWN for one of a newer server, and what it said', async () => {
    stub.on('GET /status', apiError(418, 'TEAPOT'))
    const error = await rejection(lab.status())
    expect(error).toMatchObject({ code: 'UNKNOWN', rawCode: 'TEAPOT', status: 418, hint: 'Hint of TEAPOT' })
  })

  it('has the beginning of a page that a proxy answered', async () => {
    const page = `<html><style>p { color: red }</style><h1>502 Bad\u001b Gateway</h1>${'<p>nginx</p>'.repeat(1000)}`
    stub.on('GET /status', { status: 502, body: page, headers: { 'x-request-id': 'r-2' } })
    const error = await rejection(lab.status())
    expect(error).toMatchObject({
      code: 'UNKNOWN',
      rawCode: undefined,
      status: 502,
      title: 'HTTP 502',
      requestId: 'r-2',
    })
    const { detail = '' } = error as LabApiError
    expect(detail).toMatch(/^502 Bad Gateway nginx nginx/)
    expect(detail.length).toBeLessThan(210)
  })

  it.each([
    ['a page', '<p>Log in</p>'],
    ['nothing', ''],
  ])('also is one that succeeded with %s', async (_what, body) => {
    stub.on('GET /status', { body })
    expect(await rejection(lab.status())).toMatchObject({ name: 'LabApiError', code: 'UNKNOWN', status: 200 })
  })

  it.each(['null', '[]', '"no"', '{"code":7}'])('does not trip over %s', async (body) => {
    stub.on('GET /status', { status: 500, body })
    expect(await rejection(lab.status())).toMatchObject({ code: 'UNKNOWN', rawCode: undefined, status: 500 })
  })

  it('knows when to come back from a date as well', async () => {
    const date = new Date(Date.now() + 60_000).toUTCString()
    stub.on('GET /status', apiError(503, 'TOO_BUSY', {}, { 'retry-after': date }))
    const { retryAfterSeconds } = (await rejection(lab.status())) as LabApiError
    expect(retryAfterSeconds).toBeGreaterThan(57)
    expect(retryAfterSeconds).toBeLessThan(61)
  })
})

describe('a call without an answer', () => {
  it('says where nothing listens, and keeps the cause', async () => {
    const closed = createServer().listen(0, '127.0.0.1')
    await once(closed, 'listening')
    const { port } = closed.address() as { port: number }
    await new Promise((resolve) => closed.close(resolve))
    await using nowhere = openLab({ url: `http://127.0.0.1:${port}/x`, retries: 0 })
    const error = await rejection(nowhere.status())
    expect(error).toBeInstanceOf(LabConnectionError)
    expect(error).toMatchObject({
      message: `No answer from the lab at http://127.0.0.1:${port}: ECONNREFUSED (GET /status)`,
      cause: { code: 'ECONNREFUSED' },
    })
  })

  it.each(['cut', 'half'] as const)('says that the connection was %s', async (how) => {
    stub.on('GET /status', how)
    expect(await rejection(lab.status())).toMatchObject({ name: 'LabConnectionError', method: 'GET', path: '/status' })
  })

  it('ends with its time', async () => {
    stub.on('GET /status', 'silent')
    const started = performance.now()
    const error = await rejection(lab.status({ timeoutMs: 80 }))
    expect(error).toBeInstanceOf(LabTimeoutError)
    expect(error).toMatchObject({ timeoutMs: 80, message: 'Timed out after 80 ms: GET /status' })
    expect(performance.now() - started).toBeLessThan(1000)
  })

  it("ends with the caller's signal, and throws its reason", async () => {
    stub.on('GET /status', 'silent')
    const controller = new AbortController()
    const reason = { any: 'thing' }
    const called = rejection(lab.status({ signal: controller.signal }))
    await expect.poll(() => stub.received.length).toBe(1)
    controller.abort(reason)
    expect(await called).toBe(reason)
  })

  it('is not even begun when the signal was aborted before', async () => {
    const reason = new Error('before')
    expect(await rejection(lab.status({ signal: AbortSignal.abort(reason) }))).toBe(reason)
    expect(stub.received).toHaveLength(0)
  })

  it.each([0, -1, Number.NaN])('is refused a timeout of %s', async (timeoutMs) => {
    expect(await rejection(lab.status({ timeoutMs }))).toBeInstanceOf(TypeError)
  })
})
