import { access, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { isShutDownCleanly } from '../../src/postgres/index.ts'
import { readPostmasterFile } from '../../src/postgres/process/postmaster-file.ts'
import { openProcessTable } from '../../src/postgres/process/processes.ts'
import { withListed } from '../../src/postgres/process/shared-memory.ts'
import { labQuery, makeTemplate, segmentsOf, type Template } from './cluster.ts'
import { makeWorld } from './world.ts'

const linux = process.platform === 'linux'
let template: Template
beforeAll(async () => {
  template = await makeTemplate()
})
afterAll(() => template[Symbol.asyncDispose]())

describe('a copy of a running data directory, which carries the postmaster.pid of its source', () => {
  test('is started, stopped and removed without the source noticing', async () => {
    await using world = await makeWorld()
    const dataDir = await world.copyOf(template.dataDir, 'source')
    const source = await world.runtime.start(await world.spec('source', dataDir))
    await labQuery(source, 'checkpoint')
    const copied = await world.copyOf(dataDir, 'copy')
    expect((await readPostmasterFile(copied))?.pid).toBe(source.pid)

    const copy = await world.runtime.start(await world.spec('copy', copied))
    expect(copy.pid).not.toBe(source.pid)
    await world.runtime.stop('copy', 'clean')
    await world.runtime.remove('copy')

    expect(await world.runtime.inspect('source')).toMatchObject({ state: 'running', pid: source.pid })
    expect(await labQuery(source, 'select 1 as one')).toEqual([{ one: 1 }])
  })

  test('is never stopped in the name of its source, even if its start was cut off before it began', async () => {
    await using world = await makeWorld()
    const dataDir = await world.copyOf(template.dataDir, 'source')
    const source = await world.runtime.start(await world.spec('source', dataDir))
    const copied = await world.copyOf(dataDir, 'copy')
    // As after a crash between the record and the start.
    const record = {
      version: 1,
      id: 'copy',
      dataDir: copied,
      port: 1,
      socketDir: join(world.stateDir, 'sockets', 'copy'),
    }
    await mkdir(join(world.stateDir, 'instances', 'copy'))
    await writeFile(join(world.stateDir, 'instances', 'copy', 'record.json'), JSON.stringify(record))

    expect(await world.runtime.inspect('copy')).toMatchObject({ state: 'dead' })
    await world.runtime.stop('copy', 'immediate')
    await world.runtime.remove('copy')
    expect(await labQuery(source, 'select 1 as one')).toEqual([{ one: 1 }])
  })
})

test('a server under another id on the same directory is left alone by the one that is dead', async () => {
  await using world = await makeWorld()
  const spec = await world.spec('old', await world.copyOf(template.dataDir, 'data'))
  await world.runtime.start(spec)
  await world.runtime.stop('old', 'clean')
  const current = await world.runtime.start({ ...spec, id: 'new' })
  await world.runtime.stop('old', 'immediate')
  await expect(world.runtime.start(spec)).rejects.toMatchObject({ code: 'ALREADY_EXISTS' })
  await world.runtime.remove('old')
  expect(await labQuery(current, 'select 1 as one')).toEqual([{ one: 1 }])
})

describe('a pid that another process has by now', () => {
  test('is not taken for the instance, and is never signalled', async () => {
    await using world = await makeWorld()
    const spec = await world.spec('one', await world.copyOf(template.dataDir, 'data'))
    await world.runtime.start(spec)
    await world.runtime.stop('one', 'clean')
    // The test's own process stands for the stranger: were it signalled, the test would not end well.
    const file = join(world.stateDir, 'instances', 'one', 'process.json')
    const noted = JSON.parse(await readFile(file, 'utf8'))
    await writeFile(file, JSON.stringify({ ...noted, pid: process.pid }))
    await writeFile(join(spec.dataDir, 'postmaster.pid'), `${process.pid}\n${spec.dataDir}\n1\n1\n\n\n1 1\nready\n`)
    const next = world.anotherRuntime()
    expect(await next.inspect('one')).toMatchObject({ state: 'dead' })
    await next.stop('one', 'immediate')
    await next.start(spec)
    await next.stop('one', 'clean')
  })
})

describe.runIf(linux)('a server that somebody else killed by SIGKILL', () => {
  test('is dead, and a stop frees what it left in memory', async () => {
    await using world = await makeWorld()
    const spec = await world.spec('one', await world.copyOf(template.dataDir, 'data'))
    const instance = await world.runtime.start(spec)
    const segment = (await readPostmasterFile(spec.dataDir))?.sentinel
    const mapped = await segmentsOf(instance)
    expect(segment).toBeDefined()
    expect(mapped).not.toEqual([])
    const all = await withListed(mapped)
    process.kill(instance.pid ?? 0, 'SIGKILL')
    while ((await world.runtime.inspect('one'))?.state === 'running') await sleep(5)

    await world.runtime.stop('one', 'immediate')
    expect(await openProcessTable().inDirectory(spec.dataDir)).toEqual([])
    expect(await systemVIds()).not.toContain(segment?.id)
    for (const path of all) await expect(access(path)).rejects.toMatchObject({ code: 'ENOENT' })
    await world.runtime.start(spec)
  })

  test('leaves nothing in memory though its own file no longer tells what it had', async () => {
    await using world = await makeWorld()
    const spec = await world.spec('one', await world.copyOf(template.dataDir, 'data'))
    const instance = await world.runtime.start(spec)
    const sentinel = (await readPostmasterFile(spec.dataDir))?.sentinel
    expect(await systemVIds()).toContain(sentinel?.id)
    await rm(join(spec.dataDir, 'postmaster.pid'))
    process.kill(instance.pid ?? 0, 'SIGKILL')
    while ((await openProcessTable().inDirectory(spec.dataDir)).length > 0) await sleep(5)

    await world.anotherRuntime().remove('one')
    expect(await systemVIds()).not.toContain(sentinel?.id)
  })

  test.each(['noted without its memory', 'not noted at all'])(
    'after a start that was cut off with the process %s: a list is enough to know what it will leave',
    async (cutOff) => {
      await using world = await makeWorld()
      const spec = await world.spec('one', await world.copyOf(template.dataDir, 'data'))
      const instance = await world.runtime.start(spec)
      const all = await withListed(await segmentsOf(instance))
      const note = join(world.stateDir, 'instances/one/process.json')
      if (cutOff === 'not noted at all') await rm(note)
      else await writeFile(note, JSON.stringify({ ...JSON.parse(await readFile(note, 'utf8')), sharedMemory: [] }))
      const next = world.anotherRuntime()
      expect(await next.list()).toMatchObject([{ id: 'one', state: 'running', pid: instance.pid }])
      process.kill(instance.pid ?? 0, 'SIGKILL')
      while ((await openProcessTable().inDirectory(spec.dataDir)).length > 0) await sleep(5)

      await next.stop('one', 'immediate')
      expect(all).not.toEqual([])
      for (const path of all) await expect(access(path)).rejects.toMatchObject({ code: 'ENOENT' })
    },
  )

  test('can be started again over its leftovers', async () => {
    await using world = await makeWorld()
    const spec = await world.spec('one', await world.copyOf(template.dataDir, 'data'))
    const instance = await world.runtime.start(spec)
    const segment = (await readPostmasterFile(spec.dataDir))?.sentinel
    await labQuery(instance, 'create table public.kept as select 1 as n')
    process.kill(instance.pid ?? 0, 'SIGKILL')
    while ((await world.runtime.inspect('one'))?.state === 'running') await sleep(5)
    const again = await world.runtime.start(spec)
    expect(await labQuery(again, 'select n from public.kept')).toEqual([{ n: 1 }])
    expect((await readPostmasterFile(spec.dataDir))?.sentinel?.id).not.toBe(segment?.id)
    expect(await systemVIds()).not.toContain(segment?.id)
  })

  test('that does not hear is killed with all that works for it, and its memory freed', async () => {
    await using world = await makeWorld()
    const spec = await world.spec('one', await world.copyOf(template.dataDir, 'data'))
    const instance = await world.runtime.start(spec)
    const mapped = await segmentsOf(instance)
    const processes = await openProcessTable().inDirectory(spec.dataDir)
    expect(processes.length).toBeGreaterThan(3)
    process.kill(instance.pid ?? 0, 'SIGSTOP')
    await world.runtime.stop('one', 'immediate')
    expect(await openProcessTable().inDirectory(spec.dataDir)).toEqual([])
    for (const path of mapped) await expect(access(path)).rejects.toMatchObject({ code: 'ENOENT' })
    expect(await isShutDownCleanly(spec.dataDir)).toBe(false)
  })
})

test('an instance whose data is gone can still be stopped and removed', async () => {
  await using world = await makeWorld()
  const spec = await world.spec('one', await world.copyOf(template.dataDir, 'data'))
  const { pid } = await world.runtime.start(spec)
  const segment = (await readPostmasterFile(spec.dataDir))?.sentinel
  await rm(spec.dataDir, { recursive: true })
  await world.runtime.remove('one')
  expect(segment).toBeDefined()
  if (linux) expect(await systemVIds()).not.toContain(segment?.id)
  expect(() => process.kill(pid ?? 0, 0)).toThrow('ESRCH')
  expect(await readdir(join(world.stateDir, 'instances'))).toEqual([])
})

async function systemVIds(): Promise<number[]> {
  const table = await readFile('/proc/sysvipc/shm', 'utf8')
  return table
    .split('\n')
    .slice(1)
    .map((line) => Number(line.trim().split(/\s+/)[1]))
}
