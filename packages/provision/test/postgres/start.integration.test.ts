import { once } from 'node:events'
import { appendFile, chmod, rm, stat, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { openProcessTable } from '../../src/postgres/process/processes.ts'
import { appears } from '../../testbed/index.ts'
import { labQuery, makeTemplate, type Template } from './cluster.ts'
import { makeWorld } from './world.ts'

let template: Template
beforeAll(async () => {
  template = await makeTemplate()
})
afterAll(() => template[Symbol.asyncDispose]())

test('a port that a stranger has is IN_USE, though the socket could be made', async () => {
  await using world = await makeWorld()
  const stranger = createServer().listen(0, '127.0.0.1')
  await once(stranger, 'listening')
  const address = stranger.address()
  const port = typeof address === 'object' && address !== null ? address.port : 0
  // One of the two addresses is free: Postgres itself would go on with that one.
  const spec = await world.spec('one', await world.copyOf(template.dataDir, 'data'), {
    port,
    host: '127.0.0.1,127.0.0.2',
  })
  await expect(world.runtime.start(spec)).rejects.toMatchObject({ code: 'IN_USE', hint: expect.any(String) })
  expect(await openProcessTable().inDirectory(spec.dataDir)).toEqual([])
  stranger.close()
  await once(stranger, 'close')
  await world.runtime.start(spec)
})

describe('a start that does not come to an end', () => {
  test('is cut off at its deadline, and nothing of it is left', async () => {
    await using world = await makeWorld()
    const hanging = await hangingSpec(await world.copyOf(template.dataDir, 'data'))
    const spec = { ...(await world.spec('one', hanging.dataDir)), ...hanging }
    // What it has logged by then is told too: on a slow machine that is nothing yet.
    let timeoutMs = 250
    const start = () => {
      timeoutMs *= 2
      return world.runtime.start(spec, { timeoutMs }).catch((error: unknown) => error)
    }
    await expect.poll(start, { timeout: 30_000 }).toMatchObject({
      code: 'TIMEOUT',
      message: expect.stringContaining('starting PostgreSQL'),
    })
    expect(await openProcessTable().inDirectory(spec.dataDir)).toEqual([])
  })

  test('is cut off at a word from its caller', async () => {
    await using world = await makeWorld()
    const spec = await hangingSpec(await world.copyOf(template.dataDir, 'data'))
    const abort = new AbortController()
    const start = world.runtime.start({ ...(await world.spec('one', spec.dataDir)), ...spec }, { signal: abort.signal })
    const refusal = expect(start).rejects.toMatchObject({ code: 'ABORTED' })
    await appears(join(spec.dataDir, 'postmaster.pid'))
    abort.abort()
    await refusal
    expect(await openProcessTable().inDirectory(spec.dataDir)).toEqual([])
  })
})

/** A standby whose source never answers, and that takes no connections meanwhile. */
async function hangingSpec(dataDir: string) {
  await writeFile(join(dataDir, 'standby.signal'), '')
  return { dataDir, settings: { restore_command: 'sleep 1000', hot_standby: 'off', wal_level: 'replica' } }
}

test('a directory that Postgres would refuse is INVALID before anything is started', async () => {
  await using world = await makeWorld()
  const dataDir = await world.copyOf(template.dataDir, 'data')
  await chmod(dataDir, 0o755)
  await expect(world.runtime.start(await world.spec('one', dataDir))).rejects.toMatchObject({ code: 'INVALID' })
  expect(await world.runtime.list()).toEqual([])
  const nowhere = world.runtime.start(await world.spec('one', join(world.root, 'nowhere')))
  await expect(nowhere).rejects.toMatchObject({ code: 'NOT_FOUND' })
})

test("a cluster without configuration files of its own starts, as copies of Debian's have none", async () => {
  await using world = await makeWorld()
  const dataDir = await world.copyOf(template.dataDir, 'data')
  for (const name of ['postgresql.conf', 'pg_hba.conf', 'pg_ident.conf']) await rm(join(dataDir, name))
  const instance = await world.runtime.start(await world.spec('one', dataDir))
  expect(await labQuery(instance, 'select 1 as one')).toEqual([{ one: 1 }])
})

test('what the data says about archiving, its own pid file and its rules does not count', async () => {
  await using world = await makeWorld()
  const dataDir = await world.copyOf(template.dataDir, 'data')
  const trap = join(world.root, 'trap')
  const lines = [
    'archive_mode = on',
    `archive_command = 'touch ${trap}'`,
    `external_pid_file = '${trap}'`,
    'logging_collector = on',
  ]
  await appendFile(join(dataDir, 'postgresql.conf'), `${lines.join('\n')}\n`)
  await writeFile(join(dataDir, 'pg_hba.conf'), 'host all all all trust\nlocal all all trust\n')
  const instance = await world.runtime.start(await world.spec('one', dataDir))
  const rules = await labQuery(instance, `select count(*)::int from pg_hba_file_rules where auth_method = 'trust'`)
  expect(rules).toEqual([{ count: 0 }])
  await labQuery(instance, 'select pg_switch_wal()')
  await world.runtime.stop('one', 'clean')
  await expect(stat(trap)).rejects.toMatchObject({ code: 'ENOENT' })
})

test('a state directory with a long path still has a socket, which comes back when it was cleared away', async () => {
  await using world = await makeWorld()
  const dataDir = await world.copyOf(template.dataDir, 'data')
  const spec = await world.spec(`${'long-'.repeat(20)}id`, dataDir)
  const first = await world.runtime.start(spec)
  expect(first.socketDir.length).toBeLessThan(90)
  expect((await stat(first.socketDir)).mode & 0o777).toBe(0o700)
  await world.runtime.stop(spec.id, 'clean')
  await rm(first.socketDir, { recursive: true })
  const second = await world.runtime.start(spec)
  expect(await labQuery(second, 'select 1 as one')).toEqual([{ one: 1 }])
})

test('a log that has grown past its bound is cut to its newest part while the server writes on', async () => {
  await using world = await makeWorld()
  const instance = await world.runtime.start(await world.spec('one', await world.copyOf(template.dataDir, 'data')))
  const line = `${'x'.repeat(99)}\n`
  await appendFile(instance.logFile, line.repeat(110_000))
  await appendFile(instance.logFile, 'newest\n')
  await world.runtime.trimLogs()
  const { size } = await stat(instance.logFile)
  expect(size).toBeGreaterThan(900_000)
  expect(size).toBeLessThanOrEqual(1024 * 1024)
  expect(await world.runtime.logs('one', 1)).toEqual(['newest'])
  await labQuery(instance, 'checkpoint')
  await world.runtime.stop('one', 'clean')
  expect((await world.runtime.logs('one', 1))[0]).toContain('database system is shut down')
  expect((await stat(instance.logFile)).size).toBeLessThan(size + 10_000)
})
