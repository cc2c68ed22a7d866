import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { after, apiError, cloneBody, cloneGone, cloneReply, rejection, StubLab, tooBusy } from '../test/stub-lab.ts'
import { Client } from './client.ts'
import { defaultPace } from './clone-wait.ts'
import { Clones } from './clones.ts'
import { undiciTransport } from './undici.ts'

let stub: StubLab
let client: Client
let clones: Clones
beforeEach(async () => {
  stub = await StubLab.start()
  client = new Client({ url: stub.url }, undiciTransport())
  clones = new Clones(client, { ...defaultPace, pollMs: 5, longestPollMs: 20, graceMs: 150, discardMs: 500 })
})
afterEach(async () => {
  await stub[Symbol.asyncDispose]()
  await client.close()
})

const creating = { status: 201, body: cloneBody('CREATING') }
const deleted = { status: 202, body: cloneBody('DELETING') }

describe('creating a clone', () => {
  it('resolves when it is ready, asking a server that holds its answers just once', async () => {
    stub.on('POST /clone', creating).on('GET /clone/c1', after(120, cloneReply('OK')))
    const clone = await clones.create({ project: 'shop' })
    expect(clone.status.code).toBe('OK')
    expect(stub.received.map(({ method }) => method)).toEqual(['POST', 'GET'])
    expect(stub.received[1]?.query).toEqual({ wait: '25' })
  })

  it('needs no second request when it is ready at once', async () => {
    stub.on('POST /clone', { status: 201, body: cloneBody('OK') })
    await clones.create()
    expect(stub.received).toHaveLength(1)
  })

  it('sends another Idempotency-Key for each clone, and the same for each retry', async () => {
    stub.on('POST /clone', 'cut', { status: 201, body: cloneBody('OK') })
    await clones.create()
    await clones.create()
    const [first, retried, other] = stub.received.map(({ headers }) => headers['idempotency-key'])
    expect(first).toMatch(/^[0-9a-f]{32}$/)
    expect(retried).toBe(first)
    expect(other).not.toBe(first)
  })

  it('waits out a lab that is too busy', async () => {
    stub.on('POST /clone', tooBusy(0), tooBusy(0), { status: 201, body: cloneBody('OK') })
    await clones.create()
    expect(stub.received).toHaveLength(3)
  })

  it('works with a server that holds no answers, by asking at growing intervals', async () => {
    const unhurried = new Clones(client, { ...defaultPace, pollMs: 20, longestPollMs: 80 })
    stub.on('POST /clone', creating).on('GET /clone/c1', ...Array(4).fill(cloneReply('CREATING')), cloneReply('OK'))
    await unhurried.create()
    const times = stub.requests('GET /clone/c1').map(({ at }) => at)
    // Pauses of 20, 40, 80 and 80 ms, of which chance may take a half.
    expect(times).toHaveLength(5)
    expect((times[4] ?? 0) - (times[0] ?? 0)).toBeGreaterThan(105)
  })

  it('works with a server that answers the id alone', async () => {
    stub.on('POST /clone', { status: 201, body: { id: 'c1' } }).on('GET /clone/c1', cloneReply('OK'))
    expect((await clones.create()).db.port).toBe('6001')
  })

  it('waits out a status that this version does not know', async () => {
    stub.on('POST /clone', { status: 201, body: cloneBody('QUEUED') })
    stub.on('GET /clone/c1', cloneReply('WARMING'), cloneReply('OK'))
    expect((await clones.create()).status.code).toBe('OK')
  })

  it('survives connections that are cut while it waits', async () => {
    stub.on('POST /clone', creating).on('GET /clone/c1', 'cut', 'half', cloneReply('OK'))
    await clones.create()
  })

  it('asks again on another connection when one is dead', async () => {
    const impatient = new Clones(client, { ...defaultPace, holdSeconds: 1, lateMs: -950 })
    stub.on('POST /clone', creating).on('GET /clone/c1', 'silent', cloneReply('OK'))
    await impatient.create()
    expect(stub.requests('GET /clone/c1')).toHaveLength(2)
  })

  it('throws what the lab refused', async () => {
    stub.on('POST /clone', apiError(507, 'NOT_ENOUGH_DISK_SPACE'))
    expect(await rejection(clones.create())).toMatchObject({ code: 'NOT_ENOUGH_DISK_SPACE' })
    expect(stub.received).toHaveLength(1)
  })

  it('needs a password with an idempotency key of the caller', async () => {
    expect(await rejection(clones.create({}, { idempotencyKey: 'k' }))).toBeInstanceOf(TypeError)
    const db = { password: 'p' }
    expect(await rejection(clones.create({ db }, { idempotencyKey: 'a\nb' }))).toBeInstanceOf(TypeError)
    stub.on('POST /clone', { status: 201, body: cloneBody('OK') })
    await clones.create({ db }, { idempotencyKey: 'k' })
    expect(stub.received[0]?.headers['idempotency-key']).toBe('k')
  })
})

describe('a clone that does not become ready', () => {
  it('is deleted when it is FATAL, and the error has it', async () => {
    stub.on('POST /clone', creating).on('GET /clone/c1', cloneReply('FATAL')).on('DELETE /clone/c1', deleted)
    expect(await rejection(clones.create())).toMatchObject({
      name: 'CloneFailedError',
      message: 'Clone c1 is FATAL: The clone is FATAL',
      clone: { id: 'c1', status: { code: 'FATAL' } },
    })
    expect(stub.requests('DELETE /clone/c1')).toHaveLength(1)
  })

  it('is deleted when the time is over, whatever the server goes on doing', async () => {
    stub.on('POST /clone', creating).on('GET /clone/c1', 'silent').on('DELETE /clone/c1', deleted)
    const error = await rejection(clones.create({}, { timeoutMs: 100 }))
    expect(error).toMatchObject({ name: 'LabTimeoutError', message: 'Timed out after 100 ms: creating a clone' })
    expect(stub.requests('DELETE /clone/c1')).toHaveLength(1)
  })

  it('is deleted when the caller aborts', async () => {
    stub.on('POST /clone', creating).on('GET /clone/c1', 'silent').on('DELETE /clone/c1', deleted)
    const controller = new AbortController()
    const created = rejection(clones.create({}, { signal: controller.signal }))
    await expect.poll(() => stub.requests('GET /clone/c1').length).toBe(1)
    const reason = new Error('enough')
    controller.abort(reason)
    expect(await created).toBe(reason)
    expect(stub.requests('DELETE /clone/c1')).toHaveLength(1)
  })

  it('is deleted too when its creation was answered only after the abort', async () => {
    stub.on('POST /clone', after(80, { status: 201, body: cloneBody('OK') })).on('DELETE /clone/c1', deleted)
    const created = rejection(clones.create({}, { signal: AbortSignal.timeout(20) }))
    expect(await created).toMatchObject({ name: 'TimeoutError' })
    expect(stub.requests('DELETE /clone/c1')).toHaveLength(1)
    expect(stub.requests('GET /clone/c1')).toHaveLength(0)
  })

  it('cannot be deleted when its creation is never answered: after the grace it is given up', async () => {
    stub.on('POST /clone', 'silent')
    const started = performance.now()
    expect(await rejection(clones.create({}, { timeoutMs: 20 }))).toMatchObject({ name: 'LabTimeoutError' })
    expect(performance.now() - started).toBeGreaterThan(150)
    expect(performance.now() - started).toBeLessThan(1000)
  })

  it('is unprotected first where it was asked for protected', async () => {
    const changes = { protected: true }
    stub.on('POST /clone', { status: 201, body: cloneBody('CREATING', changes) })
    stub.on('GET /clone/c1', cloneReply('FATAL', changes))
    stub.on('PATCH /clone/c1', cloneReply('FATAL')).on('DELETE /clone/c1', deleted)
    await rejection(clones.create({ protected: true }))
    expect(stub.received.map(({ method, body }) => [method, body]).slice(2)).toEqual([
      ['PATCH', { protected: false }],
      ['DELETE', undefined],
    ])
  })

  it('may be gone already', async () => {
    stub.on('POST /clone', creating).on('GET /clone/c1', cloneReply('FATAL')).on('DELETE /clone/c1', cloneGone)
    expect(await rejection(clones.create())).toMatchObject({ name: 'CloneFailedError' })
  })

  it('is named, with both failures, when it cannot be deleted either', async () => {
    stub.on('POST /clone', creating).on('GET /clone/c1', cloneReply('FATAL'))
    stub.on('DELETE /clone/c1', apiError(503, 'CATALOGUE_UNREADABLE'))
    const error = await rejection(clones.create())
    expect(error).toBeInstanceOf(AggregateError)
    expect(error).toMatchObject({
      message: expect.stringContaining('Clone c1'),
      errors: [{ name: 'CloneFailedError' }, { code: 'CATALOGUE_UNREADABLE' }],
    })
  })

  it.each([
    ['keepOnFailure', { keepOnFailure: true }],
    ['an idempotency key of the caller', { idempotencyKey: 'k' }],
  ])('is left with %s', async (_what, options) => {
    stub.on('POST /clone', creating).on('GET /clone/c1', cloneReply('FATAL'))
    await rejection(clones.create({ db: { password: 'p' } }, options))
    expect(stub.requests('DELETE /clone/c1')).toHaveLength(0)
  })
})

describe('clones', () => {
  it('are listed with a filter', async () => {
    stub.on('GET /clones', { body: [cloneBody('OK'), cloneBody('NEW', { id: 'c2', extra: 1 })] })
    const listed = await clones.list({ project: 'shop', status: 'OK' })
    expect(listed.map(({ id }) => id)).toEqual(['c1', 'c2'])
    expect(stub.received[0]?.query).toEqual({ project: 'shop', status: 'OK' })
  })

  it('are got by id', async () => {
    stub.on('GET /clone/c1', cloneReply('OK'))
    expect((await clones.get('c1')).connStr).toBe('postgresql://clone@127.0.0.1:6001/shop')
    expect(await rejection(clones.get('c2'))).toMatchObject({ rawCode: 'PATH_NOT_FOUND' })
  })

  it('are deleted by id, and are gone then', async () => {
    stub.on('DELETE /clone/c1', deleted).on('GET /clone/c1', after(50, cloneGone))
    await clones.delete('c1')
    expect(stub.received.map(({ method }) => method)).toEqual(['DELETE', 'GET'])
  })

  it('that never were are not deleted silently', async () => {
    stub.on('DELETE /clone/c1', cloneGone)
    expect(await rejection(clones.delete('c1'))).toMatchObject({ code: 'CLONE_NOT_FOUND' })
  })
})
