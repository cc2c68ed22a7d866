import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { access, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { armFaults } from '../../src/faults/faults.ts'
import { withLabConnection } from '../../src/postgres/index.ts'
import { openProcessTable } from '../../src/postgres/process/processes.ts'
import { labQuery, makeTemplate, type Template } from './cluster.ts'
import { makeWorld } from './world.ts'

let template: Template
beforeAll(async () => {
  template = await makeTemplate()
})
afterAll(() => template[Symbol.asyncDispose]())

describe('a server whose starter is killed', () => {
  test('goes on, keeps its connections, and is found and stopped by the next', async () => {
    await using world = await makeWorld()
    const dataDir = await world.copyOf(template.dataDir, 'data')
    const spec = await world.spec('one', dataDir)
    const starter = spawn(
      process.execPath,
      [
        '--conditions=source',
        join(import.meta.dirname, 'starter.ts'),
        world.stateDir,
        join(world.root, 'binaries'),
        JSON.stringify(spec),
      ],
      { stdio: ['ignore', 'pipe', 'inherit'], env: { ...process.env, DBLAB_TOKEN: 'secret', PGUSER: 'somebody' } },
    )
    const [line] = await once(starter.stdout, 'data')
    const pid = Number(String(line))
    const [found] = await world.anotherRuntime().list()
    if (found === undefined) throw new Error('the instance is not listed')
    expect(found).toMatchObject({ id: 'one', state: 'running', pid })

    await withLabConnection(found, 'postgres', async (client) => {
      starter.kill('SIGKILL')
      await once(starter, 'exit')
      const { rows } = await client.query('select 1 as one')
      expect(rows).toEqual([{ one: 1 }])
    })
    expect(await labQuery(found, 'select 2 as two')).toEqual([{ two: 2 }])
    const environment = await readFile(`/proc/${pid}/environ`, 'utf8')
    expect(environment).not.toMatch(/DBLAB|PGUSER|secret/)

    const next = world.anotherRuntime()
    await next.stop('one', 'clean')
    expect(await next.inspect('one')).toMatchObject({ state: 'dead' })
    // Its parent is gone, so until init looks at it a zombie may stand for it.
    expect(await openProcessTable().identify(pid)).toBeUndefined()
  })

  test('is found by its directory when the crash came before its process was noted', async () => {
    await using world = await makeWorld()
    const spec = await world.spec('one', await world.copyOf(template.dataDir, 'data'))
    const { pid } = await world.runtime.start(spec)
    await rm(join(world.stateDir, 'instances', 'one', 'process.json'))
    const next = world.anotherRuntime()
    expect(await next.list()).toMatchObject([{ id: 'one', state: 'running', pid }])
    await next.stop('one', 'immediate')
    expect(await next.list()).toMatchObject([{ id: 'one', state: 'dead' }])
  })
})

test('a crash in the middle of a record leaves nothing that counts, and can be removed', async () => {
  await using world = await makeWorld()
  const instances = join(world.stateDir, 'instances')
  await mkdir(join(instances, 'half'))
  await writeFile(join(instances, 'half', 'record.json'), '{"version":1,"id":"ha')
  expect(await world.runtime.list()).toEqual([])
  expect(await world.runtime.inspect('half')).toBeUndefined()
  await world.runtime.stop('half', 'immediate')
  await world.runtime.remove('half')
  expect(await readdir(instances)).toEqual([])
})

test.each(['postgres.socket-removed', 'postgres.record-removed'] as const)(
  'a removal that was cut off at %s is finished by whoever comes next',
  async (point) => {
    await using world = await makeWorld()
    const instances = join(world.stateDir, 'instances')
    const instance = await world.runtime.start(await world.spec('one', await world.copyOf(template.dataDir, 'data')))
    onTestFinished(() => armFaults(undefined))
    armFaults({ faults: [{ point, action: 'throw' }] })
    await expect(world.runtime.remove('one')).rejects.toThrow(point)
    armFaults(undefined)
    expect(await readdir(join(instances, 'one'))).toContain('postgres.log')

    const next = world.anotherRuntime()
    const found = await next.list()
    // Without a record nobody would know of it, and nobody ask for its removal.
    if (point === 'postgres.record-removed') expect(found).toEqual([])
    else await next.remove('one')
    expect(await readdir(instances)).toEqual([])
    await expect(access(instance.socketDir)).rejects.toThrow('ENOENT')
  },
)

test('a start that was cut off before its record leaves nothing after the next list', async () => {
  await using world = await makeWorld()
  const instances = join(world.stateDir, 'instances')
  await mkdir(join(instances, 'one'))
  await mkdir(join(world.stateDir, 'sockets', 'one'), { recursive: true, mode: 0o700 })
  expect(await world.runtime.list()).toEqual([])
  expect(await readdir(instances)).toEqual([])
  expect(await readdir(join(world.stateDir, 'sockets'))).toEqual([])
})
