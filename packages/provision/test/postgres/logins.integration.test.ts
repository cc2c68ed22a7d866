import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { type AddressInfo, createServer } from 'node:net'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { run } from '../../src/exec.ts'
import {
  findClientTools,
  type Instance,
  probeLogin,
  sampleActivity,
  scramVerifier,
  setUpUser,
  wasUsed,
} from '../../src/postgres/index.ts'
import { readVerifier } from '../../src/postgres/roles.ts'
import { asUser, cloneWithUser, PASSWORD, preparedTemplate, type Template } from './cluster.ts'
import { fillAsImport } from './production.ts'
import { makeWorld } from './world.ts'

let template: Template
beforeAll(async () => {
  template = await preparedTemplate({}, fillAsImport)
})
afterAll(() => template[Symbol.asyncDispose]())

async function open(username = 'ann') {
  const world = await makeWorld()
  const instance = await cloneWithUser(world, await world.copyOf(template.dataDir, 'data'), username)
  return { world, instance, [Symbol.asyncDispose]: () => world[Symbol.asyncDispose]() }
}

describe('names and passwords', () => {
  const names = [
    'all',
    'replication',
    'sameuser',
    '+dblab_owner',
    '@file',
    '/.*',
    '/^a.b$',
    'with space',
    'q"uote',
    '"',
    "o'clock",
    'comma,name',
    '#hash',
    'back\\slash',
    'ünïcødé',
    '日本',
    'A'.repeat(63),
    '$user',
    'tab\there',
    'trailing\\',
  ]

  test('every odd name logs in, and lets in nobody but itself', async () => {
    await using world = await makeWorld()
    const dataDir = await world.copyOf(template.dataDir, 'data')
    const instance = await world.runtime.start(await world.spec('odd', dataDir, { users: names }))
    const verifier = await scramVerifier(PASSWORD)
    for (const username of [...names, 'outsider', 'axb', '/x']) {
      await setUpUser(instance, { database: 'postgres', username, verifier, allowSuperuser: false })
    }
    for (const user of names) {
      const seen = await asUser(instance, { user }, (query) => query('select session_user::text as name'))
      expect(seen).toEqual([{ name: user }])
    }
    for (const user of ['outsider', 'axb', '/x', 'dblab', 'app']) {
      await expect(
        asUser(instance, { user }, async () => undefined),
        user,
      ).rejects.toMatchObject({ code: '28000' })
    }
  })

  test('every odd password logs in, through node-postgres and through libpq', async () => {
    const psql = (await findClientTools()).psql
    await using clone = await open()
    const { port } = clone.instance
    for (const password of [
      'x',
      ' lead and trail ',
      'q\'uo"te\\',
      'pässwörd',
      '日本語',
      '\u00a0nbsp',
      'ﬁ ligature',
      'I\u00adX',
      'emoji 🐘',
      randomBytes(60).toString('base64'),
    ]) {
      const verifier = await scramVerifier(password)
      await setUpUser(clone.instance, { database: 'postgres', username: 'ann', verifier, allowSuperuser: false })
      await probeLogin({ host: '127.0.0.1', port, database: 'postgres', username: 'ann', password })
      if (psql === undefined) continue
      const { stdout } = await run(
        [psql.path, '-h', '127.0.0.1', '-p', String(port), '-U', 'ann', '-d', 'postgres', '-Atc', 'select 1'],
        {
          env: { PGPASSWORD: password },
        },
      )
      expect(stdout, password).toBe('1')
    }
  })

  test('no verifier is in the log, whatever the data has it log', async () => {
    await using world = await makeWorld()
    const dataDir = await world.copyOf(template.dataDir, 'data')
    const settings = {
      log_statement: 'all',
      log_min_duration_statement: '0',
      log_min_error_statement: 'debug5',
      log_duration: 'on',
    }
    const instance = await world.runtime.start(await world.spec('one', dataDir, { users: ['ann'], settings }))
    await setUp(instance, 'ann')
    await expect(
      setUpUser(instance, {
        database: 'missing',
        username: 'ann',
        verifier: await scramVerifier('x'),
        allowSuperuser: false,
      }),
    ).rejects.toMatchObject({ code: 'NOT_FOUND' })
    const log = (await world.runtime.logs('one', 10_000)).join('\n')
    expect(log).toContain('ready to accept connections')
    expect(log).not.toContain('SCRAM-SHA-256')
  })
})

describe('a probe of the login', () => {
  test('works with the password and without it, and fails with a wrong one', async () => {
    await using clone = await open()
    const target = { host: '127.0.0.1', port: clone.instance.port, database: 'postgres', username: 'ann' }
    await probeLogin({ ...target, password: PASSWORD })
    await probeLogin(target)
    const verifier = await readVerifier(clone.instance, 'ann')
    await probeLogin({ ...target, verifier })
    for (const other of [await scramVerifier(PASSWORD), verifier?.replace('$4096:', '$4097:')])
      await expect(probeLogin({ ...target, verifier: other })).rejects.toMatchObject({ code: 'FAILED' })
    await expect(probeLogin({ ...target, username: 'nobody', verifier })).rejects.toMatchObject({ code: 'FAILED' })
    await expect(probeLogin({ ...target, password: 'wrong' })).rejects.toMatchObject({
      code: 'FAILED',
      message: expect.not.stringContaining('wrong'),
    })
    await expect(probeLogin({ ...target, username: 'app' })).rejects.toMatchObject({ code: 'FAILED' })
    await clone.world.runtime.stop('clone', 'clean')
    await expect(probeLogin(target)).rejects.toMatchObject({ code: 'FAILED' })
    await expect(probeLogin(target, { signal: AbortSignal.abort() })).rejects.toMatchObject({ code: 'ABORTED' })
  })

  test('waits for a server that says nothing as long as it may', async () => {
    await using silent = createServer((socket) => socket.resume()).listen(0, '127.0.0.1')
    await once(silent, 'listening')
    const { port } = silent.address() as AddressInfo
    const began = Date.now()
    await expect(
      probeLogin({ host: '127.0.0.1', port, database: 'postgres', username: 'ann' }, { timeoutMs: 300 }),
    ).rejects.toMatchObject({ code: 'TIMEOUT', message: 'no login over TCP in 300 ms' })
    expect(Date.now() - began).toBeGreaterThanOrEqual(299)
  })
})

describe('activity', () => {
  test("tells use from silence, and does not take the lab's looks for use", async () => {
    await using clone = await open()
    const first = await sampleActivity(clone.instance)
    const second = await sampleActivity(clone.instance)
    expect(wasUsed(first, second)).toBe(false)
    const during = await asUser(clone.instance, { user: 'ann' }, async () => sampleActivity(clone.instance))
    expect(during.openSessions).toBe(1)
    expect(wasUsed(second, during)).toBe(true)
    const after = await sampleActivity(clone.instance)
    expect(after.openSessions).toBe(0)
    expect(wasUsed(second, after)).toBe(true)
    expect(wasUsed(after, await sampleActivity(clone.instance))).toBe(false)
  })
})

async function setUp(instance: Instance, username: string): Promise<void> {
  await setUpUser(instance, {
    database: 'postgres',
    username,
    verifier: await scramVerifier(PASSWORD),
    allowSuperuser: false,
  })
}
