import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readlinkSync } from 'node:fs'
import {
  access,
  chown,
  copyFile,
  mkdir,
  open,
  readdir,
  readFile,
  rm,
  symlink,
  truncate,
  writeFile,
} from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { withLabConnection } from '../../src/postgres/index.ts'
import { openProcessTable, signalProcess } from '../../src/postgres/process/processes.ts'
import { withListed } from '../../src/postgres/process/shared-memory.ts'
import type { Instance } from '../../src/postgres/runtime.ts'
import { command, isRoot } from '../../testbed/index.ts'
import { labQuery, makeTemplate, segmentsOf, type Template } from './cluster.ts'
import { makeWorld, type World } from './world.ts'

/** It has had two names, of which each version knows one. */
const EACH_IN_PARALLEL = `select set_config(name, 'on', false) from pg_settings
  where name in ('debug_parallel_query', 'force_parallel_mode')`

let template: Template
beforeAll(async () => {
  template = await makeTemplate()
})
afterAll(() => template[Symbol.asyncDispose]())

/** Segments that no process uses, and none that is in use lists: other tests run at the same time. */
async function unused(): Promise<string[]> {
  const names = await readdir('/dev/shm')
  const there = names.filter((name) => name.startsWith('PostgreSQL.')).map((name) => `/dev/shm/${name}`)
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name)).map(Number)
  const used = (await Promise.all(pids.map((pid) => segmentsOf({ pid })))).flat()
  const known = new Set(await withListed(used))
  return there.filter((path) => !known.has(path))
}

async function isThere(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  )
}

const programOf = (name: string) => [process.execPath, '--conditions=source', join(import.meta.dirname, name)]

/** A segment as Postgres makes it, in no server's list. */
async function segment(world: World, owner: number = world.account.uid): Promise<string> {
  const path = `/dev/shm/PostgreSQL.${1_000_000_000 + Math.floor(Math.random() * 1e9)}`
  await writeFile(path, Buffer.alloc(4096), { mode: 0o600, flag: 'wx' })
  if (isRoot) await chown(path, owner, world.account.gid)
  return path
}

/** One that sleeps, and has nothing of Postgres but the look of one of its processes. */
async function pretender(world: World, dataDir: string, file: string): Promise<ChildProcess> {
  const program = join(world.root, 'postgres')
  if (!(await isThere(program))) await copyFile('/bin/sleep', program)
  await using opened = await open(file, 'r+')
  const child = spawn(program, ['600'], {
    argv0: 'postgres: parallel worker for PID 1',
    cwd: dataDir,
    detached: true,
    stdio: ['ignore', 'ignore', 'ignore', opened.fd],
    ...(isRoot && { uid: world.account.uid, gid: world.account.gid }),
  })
  await once(child, 'spawn')
  return child
}

describe.runIf(process.platform === 'linux')('the shared memory of a server', () => {
  test('that is killed in the making of a segment goes with it, though it is in no list yet', async () => {
    await using world = await makeWorld()
    const spec = await world.spec('one', await world.copyOf(template.dataDir, 'data'))
    const instance = await world.runtime.start(spec)
    const file = await segment(world)
    const child = await pretender(world, spec.dataDir, file)
    expect(await segmentsOf(child)).toEqual([file])
    const all = await withListed(await segmentsOf(instance))

    await world.runtime.stop('one', 'immediate')
    for (const path of [file, ...all]) expect(await isThere(path)).toBe(false)
    expect(await openProcessTable().inDirectory(spec.dataDir)).toEqual([])
  })

  // A parallel query makes its segments as it begins: so does each of these.
  test('that is stopped while many queries begin is all freed', { timeout: 60_000 }, async () => {
    await using world = await makeWorld()
    const before = await unused()
    for (let round = 0; round < 8; round++) {
      const instance = await world.runtime.start(
        await world.spec('one', await world.copyOf(template.dataDir, `${round}`)),
      )
      const busy = Array.from({ length: 4 }, () => queryUntilItEnds(instance))
      await Promise.all(busy.map(({ answered }) => answered))
      await sleep(Math.random() * 100)
      await world.runtime.stop('one', 'immediate')
      await Promise.all(busy.map(({ ended }) => ended))
      await world.runtime.remove('one')
    }
    // What is just being made or freed is nobody's for a moment.
    const left = async () => (await unused()).filter((path) => !before.includes(path))
    await expect.poll(left, { timeout: 5000 }).toEqual([])
  })

  test.each(['start', 'clean stop'])(
    'whose killing was cut off while all stood still is freed by the next %s, which sees no server there',
    async (next) => {
      await using world = await makeWorld()
      const spec = await world.spec('one', await world.copyOf(template.dataDir, 'data'))
      const instance = await world.runtime.start(spec)
      const table = openProcessTable()
      const processes = await table.inDirectory(spec.dataDir)
      const all = await withListed(await segmentsOf(instance))
      for (const each of processes) await signalProcess(table, each, 'SIGSTOP')
      const note = join(world.stateDir, 'instances/one/process.json')
      await writeFile(note, JSON.stringify({ ...JSON.parse(await readFile(note, 'utf8')), isEnding: true }))

      const runtime = world.anotherRuntime()
      expect(await runtime.list()).toMatchObject([{ id: 'one', state: 'dead' }])
      if (next === 'start') {
        const again = await runtime.start(spec)
        expect(await labQuery(again, 'select 1 as one')).toEqual([{ one: 1 }])
      } else await runtime.stop('one', 'clean')
      const left = (await table.inDirectory(spec.dataDir)).map(({ pid }) => pid)
      for (const { pid } of processes) expect(left).not.toContain(pid)
      for (const path of all) expect(await isThere(path)).toBe(false)
    },
  )
})

// PROC_PID_INIT_INO (include/linux/proc_ns.h).
const seesAllProcesses = process.platform === 'linux' && readlinkSync('/proc/self/ns/pid') === 'pid:[4026531836]'
const unseeing = seesAllProcesses
  ? ''
  : ' (skipped: not in the first PID namespace of Linux, from where all processes are seen)'
describe.skipIf(unseeing !== '')(`shared memory that a killed process has left${unseeing}`, () => {
  test('is freed when it was nobody’s twice, and nothing that is in use or of others', async () => {
    await using world = await makeWorld()
    const spec = await world.spec('one', await world.copyOf(template.dataDir, 'data'))
    const instance = await world.runtime.start(spec)
    const [abandoned, used, strangers] = [await segment(world), await segment(world), await segment(world, 0)]
    await using stack = new AsyncDisposableStack()
    for (const path of [abandoned, used, strangers]) stack.defer(() => rm(path, { force: true }))
    const child = await pretender(world, world.root, used)
    stack.defer(() => void child.kill('SIGKILL'))
    const ofServer = await withListed(await segmentsOf(instance))
    expect(ofServer).not.toEqual([])

    const ours = (freed: string[]) => freed.filter((path) => [abandoned, used, strangers, ...ofServer].includes(path))
    expect(ours(await world.runtime.freeAbandonedMemory())).toEqual([])
    // As another lab of the account sees it, in whose notes the server is not.
    const other = await makeWorld()
    stack.use(other)
    await other.runtime.freeAbandonedMemory()
    await other.runtime.freeAbandonedMemory()
    expect(await isThere(abandoned)).toBe(false)
    for (const path of [used, ...ofServer]) expect(await isThere(path)).toBe(true)
    if (isRoot) expect(await isThere(strangers)).toBe(true)

    child.kill('SIGKILL')
    await once(child, 'exit')
    await world.runtime.freeAbandonedMemory()
    await world.runtime.freeAbandonedMemory()
    expect(await isThere(used)).toBe(false)
    expect(await parallelCount(instance)).toBeGreaterThan(100)
  })
})

describe.runIf(process.platform === 'linux')(
  'what a process of the account leads to under the name of a segment',
  () => {
    // Four that wait take all threads that Node has for files.
    test('keeps nobody waiting, and has nobody read without end', { timeout: 20_000 }, async () => {
      await using world = await makeWorld()
      await using stack = new AsyncDisposableStack()
      const paths = await Promise.all(Array.from({ length: 7 }, () => segment(world)))
      for (const path of paths) stack.defer(() => rm(path, { force: true }))
      const [link = '', list = '', ...fifos] = paths
      for (const path of [link, ...fifos]) await rm(path)
      for (const path of fifos) await command('mkfifo', path)
      await symlink('/etc/hostname', link)
      const header = Buffer.alloc(16)
      // PG_DYNSHMEM_CONTROL_MAGIC (dsm.c), and as many items as the field can say.
      header.writeUInt32LE(0x9a503d32)
      header.writeUInt32LE(0xffff_ffff, 4)
      await writeFile(list, header)
      await truncate(list, 200 * 1024 ** 3)
      const before = process.memoryUsage().rss
      expect(new Set(await withListed(paths))).toEqual(new Set(paths))
      expect(process.memoryUsage().rss - before).toBeLessThan(100 * 1024 ** 2)
    })

    test.runIf(isRoot)('is freed when it is the account’s, and whole (root only)', async () => {
      await using world = await makeWorld()
      await using stack = new AsyncDisposableStack()
      const spec = await world.spec('one', await world.copyOf(template.dataDir, 'data'))
      const [own, others] = [await segment(world), await segment(world, 0)]
      for (const path of [own, others]) stack.defer(() => rm(path, { force: true }))
      // A part of another path, and a name with a line break.
      const inside = join(world.root, others)
      await mkdir(dirname(inside), { recursive: true })
      const broken = join(world.root, `\n${others}`)
      await mkdir(dirname(broken), { recursive: true })
      for (const path of [inside, broken]) await copyFile(own, path)
      await world.runtime.start(spec)
      for (const path of [own, others, inside, broken]) await pretender(world, spec.dataDir, path)
      await world.runtime.stop('one', 'immediate')
      expect(await isThere(own)).toBe(false)
      expect(await isThere(others)).toBe(true)
    })
  },
)

// As root is in most containers: it may end what is another account's, and not look into it.
test.runIf(isRoot && process.platform === 'linux')(
  'a server that its own starter may not look into is ended with all that it has made, and has its memory until then (root only)',
  async () => {
    await using world = await makeWorld()
    const spec = await world.spec('one', await world.copyOf(template.dataDir, 'data'))
    const args = [world.stateDir, join(world.root, 'binaries'), JSON.stringify(spec)]
    const starter = spawn('setpriv', ['--bounding-set=-sys_ptrace,-sys_admin', ...programOf('unseeing.ts'), ...args], {
      stdio: ['pipe', 'pipe', 'inherit'],
    })
    const lines = createInterface(starter.stdout)[Symbol.asyncIterator]()
    const next = async () => JSON.parse((await lines.next()).value ?? 'null')
    const { pid, seen } = await next()
    expect(seen).toBeNull()
    const table = openProcessTable()
    const memory = await table.sharedMemory(pid)
    const all = await withListed(memory?.posix ?? [])
    expect(all.length).toBeGreaterThan(1)
    expect(memory?.systemV).toHaveLength(1)
    // While a query runs that hears nothing of the end of its server.
    starter.stdin.write('\n')
    expect(await next()).toEqual({ freed: [] })
    for (const path of all) expect(await isThere(path)).toBe(true)
    const processes = await table.inDirectory(spec.dataDir)
    expect(processes.length).toBeGreaterThan(3)

    starter.stdin.end('\n')
    expect(await next()).toEqual({ removed: true })
    expect(await table.inDirectory(spec.dataDir)).toEqual([])
    for (const path of all) expect(await isThere(path)).toBe(false)
    expect(await readFile('/proc/sysvipc/shm', 'utf8')).not.toMatch(new RegExp(`^ *\\S+ +${memory?.systemV[0]} `, 'm'))
  },
)

/** One query after the other: its first answer, and its end. */
function queryUntilItEnds(instance: Instance): { answered: Promise<void>; ended: Promise<unknown> } {
  const first = Promise.withResolvers<void>()
  const ended = withLabConnection(instance, 'postgres', async (client) => {
    client.on('error', () => {})
    await client.query(EACH_IN_PARALLEL)
    for (;;) {
      await client.query('select count(*) from pg_class')
      first.resolve()
    }
  })
  // It is stopped, as it is to be; before its first answer, that is the test's failure.
  return { answered: first.promise, ended: ended.catch(first.reject) }
}

async function parallelCount(instance: Instance): Promise<number> {
  return withLabConnection(instance, 'postgres', async (client) => {
    await client.query(EACH_IN_PARALLEL)
    const { rows } = await client.query('select count(*)::int as n from pg_class')
    return rows[0].n
  })
}
