import { once } from 'node:events'
import { truncate, writeFile } from 'node:fs/promises'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import { join } from 'node:path'
import type { Clone, CreatedToken, ErrorCode, Instance, RetrievalRun, Snapshot } from '@dblab/models'
import { freePort } from '@dblab/provision/testbed'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { urlOf } from '../support/clones.ts'
import { TestLab } from '../support/lab.ts'
import { query } from '../support/sql.ts'
import { Api, PASSWORD, unique } from './api.ts'
import { badInput } from './bad-input.ts'
import { failingApp } from './failing-app.ts'
import { fullUp, occupy, readOnly } from './hardship.ts'
import { slowRequests } from './slow-requests.ts'

const BODY_LIMIT = 10_000
const ATTEMPTS = 5
const json = { db: { username: 'alice', password: PASSWORD } }

describe('the errors of a running lab', () => {
  const provoked = new Set<string>()
  let lab: TestLab
  let api: Api
  let codes: string[] = []
  let firstPort: number

  beforeAll(async () => {
    firstPort = await freePort()
    const clones = { portFrom: firstPort, portTo: firstPort + 4, concurrency: 1, queue: 1 }
    const access = { failedAttemptsPerMinute: ATTEMPTS }
    const config = { bodyLimit: BODY_LIMIT, requestTimeoutSeconds: 3, clones, access }
    lab = await TestLab.make({ driver: 'copy', config })
    await lab.start()
    api = await Api.of(lab)
    codes = api.document.errorCodes
  })

  afterAll(async () => {
    await lab[Symbol.asyncDispose]()
  })

  async function refused(code: ErrorCode, status: number, method: string, path: string, options: object = {}) {
    const answer = await api.refused(code, method, path, options)
    expect(answer.status).toBe(status)
    provoked.add(code)
    return answer.body
  }

  test('tell what is wrong with a request', async () => {
    const type = { 'Content-Type': 'application/json' }
    await refused('INVALID_REQUEST', 400, 'POST', '/clone', { json: {} })
    await refused('INVALID_JSON', 400, 'POST', '/clone', { body: '{', headers: type })
    await refused('BODY_TOO_LARGE', 413, 'POST', '/clone', { json: { name: 'x'.repeat(BODY_LIMIT) } })
    await refused('UNSUPPORTED_MEDIA_TYPE', 415, 'POST', '/clone', {
      body: '{}',
      headers: { 'Content-Type': 'text/plain' },
    })
    await refused('UNAUTHORIZED', 401, 'GET', '/status', { token: 'wrong' })
    await refused('PATH_NOT_FOUND', 404, 'GET', '/nope')
    await refused('METHOD_NOT_ALLOWED', 405, 'PUT', '/status')
    await refused('CLONE_NOT_FOUND', 404, 'GET', '/clone/nope')
    await refused('SNAPSHOT_NOT_FOUND', 404, 'DELETE', '/snapshot/nope')
    const database = await refused('DATABASE_NOT_FOUND', 400, 'POST', '/clone', {
      json: { db: { ...json.db, dbName: 'nope' } },
    })
    expect(database.detail).toBe('the snapshot has these databases: postgres, shop')
    await refused('SOURCE_SETTINGS_UNKNOWN', 409, 'POST', '/clone', { json: { ...json, profile: 'like-source' } })
    await refused('USERNAME_NOT_ALLOWED', 400, 'POST', '/clone', { json: { db: { ...json.db, username: 'dblab' } } })
  })

  test('tell what is wrong with a token', async () => {
    const made = await api.call<CreatedToken>('POST', '/token', { json: { name: 'viewer', role: 'viewer' } })
    const { id, token } = made.body
    await refused('FORBIDDEN', 403, 'POST', '/clone', { json, token })
    await refused('TOKEN_ALREADY_EXISTS', 409, 'POST', '/token', { json: { name: 'viewer', role: 'admin' } })
    await refused('TOKEN_NOT_FOUND', 404, 'DELETE', '/token/nope')
    expect((await api.call('DELETE', `/token/${id}`)).status).toBe(204)
    for (let n = 0; n < ATTEMPTS; n++) await api.call('GET', '/status', { token: 'wrong' })
    await refused('TOO_MANY_ATTEMPTS', 429, 'GET', '/status', { token: 'wrong' })
  })

  test('tell what stands in the way of a clone', async () => {
    const headers = { 'Idempotency-Key': unique('key') }
    await using clone = await api.clone({ id: unique('clone') }, { headers })
    await refused('CLONE_NOT_READY', 409, 'POST', `${clone.path}/reset`)
    await refused('CLONE_ALREADY_EXISTS', 409, 'POST', '/clone', { json: { ...json, id: clone.id } })
    await refused('IDEMPOTENCY_KEY_REUSED', 409, 'POST', '/clone', { json, headers })
    await api.call('PATCH', clone.path, { json: { protected: true } })
    await refused('CLONE_PROTECTED', 409, 'DELETE', clone.path)
  })

  test('tell what stands in the way of a snapshot', async () => {
    const id = unique('snapshot')
    expect((await api.call('POST', '/snapshot', { json: { id } })).status).toBe(201)
    await refused('SNAPSHOT_ALREADY_EXISTS', 409, 'POST', '/snapshot', { json: { id } })
    {
      await using clone = await api.clone({ snapshot: id })
      const { detail } = await refused('SNAPSHOT_IN_USE', 409, 'DELETE', `/snapshot/${id}`)
      expect(detail).toContain(clone.id)
    }
    await api.call('PATCH', `/snapshot/${id}`, { json: { protected: true } })
    await refused('SNAPSHOT_PROTECTED', 409, 'DELETE', `/snapshot/${id}`)
    await api.call('PATCH', `/snapshot/${id}`, { json: { protected: false } })
    expect((await api.call('DELETE', `/snapshot/${id}`)).status).toBe(204)
  })

  test('tell that there is nothing to refresh from, or to stop', async () => {
    await refused('NO_SOURCE', 409, 'POST', '/refresh')
    await refused('REFRESH_NOT_RUNNING', 409, 'DELETE', '/refresh')
  })

  test('tell that too much is asked for at once, and nothing is made then', async () => {
    await using running = await api.clone()
    await using _waiting = await api.clone()
    await fullUp(api, running.id)
    await refused('TOO_BUSY', 503, 'POST', '/clone', { json })
    await refused('TOO_BUSY', 503, 'POST', '/snapshot', { json: {} })
    expect((await api.get<Clone[]>('/clones')).body).toHaveLength(2)
  })

  test('tell that every port is taken', async () => {
    await using _ports = await occupy(firstPort, firstPort + 4)
    await refused('NO_FREE_PORT', 503, 'POST', '/clone', { json })
    expect((await api.get('/clones')).body).toEqual([])
  })

  test('tell that every port is lent, in the status before anybody asks', async () => {
    await using clones = new AsyncDisposableStack()
    for (let port = firstPort; port < firstPort + 5; port++) clones.use(await api.clone({}, { wait: 60 }))
    await refused('NO_FREE_PORT', 503, 'POST', '/clone', { json })
    const { body } = await api.get<Instance>('/status')
    expect(body.status.code).toBe('WARNING')
    expect(body.warnings).toEqual([{ code: 'NO_FREE_PORT', message: expect.any(String), hint: expect.any(String) }])
    await clones.disposeAsync()
    expect((await api.get<Instance>('/status')).body.warnings).toEqual([])
  })

  test('tell that the storage can not be used', async () => {
    await using _storage = await readOnly(join(lab.directory, '.dblab/pool/snapshots'))
    await refused('STORAGE_UNAVAILABLE', 503, 'POST', '/snapshot', { json: {} })
    expect((await api.get<Instance>('/status')).body.snapshots).toHaveLength(1)
  })

  badInput(() => api, BODY_LIMIT)
  slowRequests(() => lab)

  describe('after a start with another configuration', () => {
    let running: Clone

    beforeAll(async () => {
      running = (await api.clone({}, { wait: 60 })).answer.body
      await lab.interrupt()
    })

    test('a pool that is too full takes no clone, and gives those that there are', async () => {
      await using full = await restarted(lab, { storage: { lowFreePercent: 100, criticalFreePercent: 100 } })
      api = full.api
      await refused('NOT_ENOUGH_DISK_SPACE', 507, 'POST', '/clone', { json })
      await refused('NOT_ENOUGH_DISK_SPACE', 507, 'POST', '/snapshot', { json: {} })
      await refused('NOT_ENOUGH_DISK_SPACE', 507, 'POST', `/clone/${running.id}/reset`)
      const { body } = await api.get<Instance>('/status')
      expect(body.status.code).toBe('WARNING')
      expect(body.warnings).toMatchObject([{ code: 'DISK_SPACE_CRITICAL' }])
      expect(body.clones).toMatchObject([{ id: running.id, status: { code: 'OK' } }])
    })

    test('a lab that is being refreshed begins nothing else of that', async () => {
      await using silent = await silentServer()
      const url = `postgresql://somebody@127.0.0.1:${silent.port}/shop?sslmode=disable`
      await using refreshing = await restarted(lab, { retrieval: { sources: [{ kind: 'logical', url }] } })
      api = refreshing.api
      expect((await api.call('POST', '/refresh')).status).toBe(202)
      await refused('REFRESH_RUNNING', 409, 'POST', '/refresh')
      expect((await api.call<RetrievalRun>('DELETE', '/refresh')).body.outcome).toBe('CANCELLED')
    })

    test('data from before masking was configured is not handed out', async () => {
      await writeFile(join(lab.directory, 'dump.sql'), 'CREATE TABLE a ();\n')
      await using filled = await restarted(lab, {}, ['--import', join(lab.directory, 'dump.sql')])
      const [imported] = (await filled.api.get<Snapshot[]>('/snapshots')).body
      await filled[Symbol.asyncDispose]()
      await using masked = await restarted(lab, { retrieval: { masking: { coverage: { mode: 'off' } } } })
      api = masked.api
      await refused('SNAPSHOT_UNMASKED', 409, 'POST', '/clone', { json: { ...json, snapshot: imported?.id } })
      expect((await api.get<Instance>('/status')).body.warnings).toMatchObject([{ code: 'UNMASKED_DATA' }])
    })

    test('a lab that has as many clones as it may takes no more', async () => {
      await using limited = await restarted(lab, { clones: { max: 1 } })
      api = limited.api
      await refused('CLONE_LIMIT_REACHED', 409, 'POST', '/clone', { json })
    })

    test('a lost catalogue removes nothing, and makes nothing', async () => {
      await truncate(join(lab.directory, '.dblab/catalogue.db'), 1000)
      await using damaged = await restarted(lab, {})
      api = damaged.api
      for (const [method, path] of [
        ['POST', '/clone'],
        ['PATCH', '/clone/a'],
        ['DELETE', '/clone/a'],
        ['POST', '/clone/a/reset'],
      ] as const) {
        await refused(
          'CATALOGUE_UNREADABLE',
          503,
          method,
          path,
          method === 'DELETE' ? {} : { json: path === '/clone' ? json : {} },
        )
      }
      await refused('CATALOGUE_UNREADABLE', 503, 'POST', '/snapshot', { json: {} })
      await refused('CATALOGUE_UNREADABLE', 503, 'POST', '/token', { json: { name: 'a', role: 'admin' } })
      await refused('CATALOGUE_UNREADABLE', 503, 'DELETE', '/token/a')
      const unknown = await refused('UNAUTHORIZED', 401, 'GET', '/status', { token: 'dblab_of-the-lost-catalogue' })
      expect(unknown.detail).toBe("the catalogue is lost, and with it all tokens but the lab's first")
      const { body } = await api.get<Instance>('/status')
      expect(body.status.code).toBe('WARNING')
      expect(body.warnings).toMatchObject([{ code: 'CATALOGUE_LOST' }])
      expect(await query(urlOf(running, PASSWORD), 'select 1 as one')).toEqual([{ one: 1 }])
    })
  })

  test('tell of a defect of the server what finds it in the log, and nothing else', async () => {
    await using app = await failingApp()
    const { status, body } = await app.fetch('/status')
    expect(status).toBe(500)
    expect(body).toMatchObject({ code: 'INTERNAL_ERROR', name: 'Internal error', requestId: expect.any(String) })
    expect(JSON.stringify(body)).not.toContain('canary')
    expect(app.logged).toContainEqual(expect.objectContaining({ level: 'error', requestId: body.requestId }))
    provoked.add(String(body.code))
  })

  test('tell a request that comes while the server stops to come back', async () => {
    await using app = await failingApp()
    app.stop()
    const { status, headers, body } = await app.fetch('/healthz')
    expect([status, headers.get('Retry-After'), headers.get('Connection')]).toEqual([503, '5', 'close'])
    expect(body).toMatchObject({ code: 'SHUTTING_DOWN' })
    provoked.add(String(body.code))
  })

  test('are all of the document, each provoked above', () => {
    expect(codes.length).toBeGreaterThan(20)
    expect([...provoked].sort()).toEqual([...codes].sort())
  })
})

/** Something that takes connections and says nothing. */
async function silentServer(): Promise<{ port: number } & AsyncDisposable> {
  const sockets = new Set<Socket>()
  const server = createServer((socket) => sockets.add(socket)).listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    port: (server.address() as AddressInfo).port,
    [Symbol.asyncDispose]: async () => {
      for (const socket of sockets) socket.destroy()
      server.close()
      await once(server, 'close')
    },
  }
}

/** The same lab, served with another configuration; stopped, and not removed, at the end of its scope. */
async function restarted(lab: TestLab, config: Record<string, Record<string, unknown>>, args: string[] = []) {
  const again = await TestLab.make({ driver: 'copy', directory: lab.directory, config })
  await again.start(args)
  return { api: await Api.of(again), [Symbol.asyncDispose]: () => again.interrupt() }
}
