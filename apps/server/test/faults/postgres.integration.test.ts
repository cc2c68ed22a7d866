import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { open, readdir, readFile, readlink, stat, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { basename, dirname, join } from 'node:path'
import { promisify } from 'node:util'
import type { Clone } from '@dblab/models'
import { isSystemError } from '@dblab/provision'
import { hasProgram } from '@dblab/provision/testbed'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createClone, urlOf } from '../support/clones.ts'
import { eventually, TestLab } from '../support/lab.ts'
import { seesAllProcesses } from '../support/pid-namespace.ts'
import { type Postmaster, postmasterOf } from '../support/postmaster.ts'
import { untilCheckpointed } from '../support/rest.ts'
import { openSession, query } from '../support/sql.ts'
import { bystander } from './bystander.ts'

const execute = promisify(execFile)

/** Of the lab's own account, that is: what System V and /dev/shm hold of a server, and of what was left of one. */
async function sharedMemory(pids: readonly number[]): Promise<string[]> {
  const segments = (await readFile('/proc/sysvipc/shm', 'utf8')).split('\n').slice(1)
  const systemV = segments.filter((line) => pids.includes(Number(line.trim().split(/\s+/)[4])))
  const posix = new Set<string>()
  for (const pid of pids) {
    const maps = await readFile(`/proc/${pid}/maps`, 'utf8').catch((error: unknown) => {
      if (isSystemError(error, 'ENOENT', 'ESRCH')) return ''
      throw error
    })
    for (const path of maps.match(/\/dev\/shm\/PostgreSQL\.\d+/g) ?? []) posix.add(path)
  }
  return [...systemV.map((line) => line.trim().split(/\s+/).slice(0, 2).join(' ')), ...posix]
}

describe('a clone whose Postgres fails', { timeout: 180_000 }, () => {
  let lab: TestLab
  let other: Awaited<ReturnType<typeof bystander>>

  beforeAll(async () => {
    lab = await TestLab.make({ driver: 'copy', config: { postgres: { startSeconds: 20, recoverySeconds: 6 } } })
    await lab.start()
    other = await bystander(lab)
  })
  afterAll(async () => {
    await other.end()
    await lab[Symbol.asyncDispose]()
  })

  async function get(id: string): Promise<Clone> {
    return (await (await lab.fetch(`/clone/${id}`)).json()) as Clone
  }

  /** With a table of its own, which is committed. */
  async function make(id: string): Promise<{ clone: Clone; url: string; postmaster: Postmaster }> {
    const clone = await createClone(lab, { id })
    const url = urlOf(clone)
    await query(url, 'CREATE TABLE mine AS SELECT 42 AS answer')
    return { clone, url, postmaster: await postmasterOf(url) }
  }

  /** Written to by nobody: its first checkpoint is its last for minutes, and no process of it writes anything after that. */
  async function makeAtRest(id: string): Promise<Postmaster> {
    const url = urlOf(await createClone(lab, { id }))
    await untilCheckpointed(url)
    return postmasterOf(url)
  }

  async function hasItsData(url: string): Promise<void> {
    expect(await query(url, 'SELECT answer FROM mine')).toEqual([{ answer: 42 }])
  }

  async function messageOnce(id: string, code: string, pattern: RegExp, timeoutMs = 40_000): Promise<string> {
    const seen = async () => {
      const { status } = await get(id)
      return status.code === code && pattern.test(status.message)
    }
    await eventually(`${id} is ${code}, ${pattern}`, seen, timeoutMs).catch(async (error: unknown) => {
      throw new Error(`${JSON.stringify((await get(id)).status)}\n${lab.output.slice(-3000)}`, { cause: error })
    })
    return (await get(id)).status.message
  }

  async function resetAndDelete(id: string): Promise<void> {
    const reset = await lab.fetch(`/clone/${id}/reset?wait=60`, { method: 'POST' })
    const clone = (await reset.json()) as Clone
    expect(clone.status, lab.output.slice(-3000)).toEqual({ code: 'OK', message: 'Database is ready' })
    await expect(query(urlOf(clone), 'SELECT FROM mine')).rejects.toMatchObject({ code: '42P01' })
    await remove(id)
  }

  async function remove(id: string): Promise<void> {
    expect((await lab.fetch(`/clone/${id}`, { method: 'DELETE' })).status).toBe(202)
    await eventually(`${id} is gone`, async () => (await lab.fetch(`/clone/${id}`)).status === 404, 40_000)
  }

  test('killed: it runs again within seconds, says so, and leaves no shared memory behind', async () => {
    const { url, postmaster } = await make('killed')
    const left = await sharedMemory([postmaster.pid])
    expect(left.length).toBeGreaterThan(0)
    process.kill(postmaster.pid, 'SIGKILL')
    const killed = Date.now()
    const message = await messageOnce('killed', 'OK', /ended in a crash, or was killed, and was started again at /)
    // A round of the monitor's comes every 15 seconds.
    const seen = /^(\S+) .*a clone is down; starting it again clone=killed/m.exec(lab.output)?.[1] ?? ''
    expect(Date.parse(seen) - killed).toBeLessThan(10_000)
    expect(message.length).toBeLessThan(1000)
    await hasItsData(url)
    const segments = await readFile('/proc/sysvipc/shm', 'utf8')
    for (const each of left) {
      if (each.startsWith('/')) await expect(stat(each), each).rejects.toMatchObject({ code: 'ENOENT' })
      else
        expect(segments.split('\n').map((line) => line.trim().split(/\s+/).slice(0, 2).join(' '))).not.toContain(each)
    }
    await other.goesOn()
    await remove('killed')
  })

  test('one of its processes killed: it runs again and says so, and its log has nothing of what was said to it', async () => {
    const { url, postmaster } = await make('backend')
    const instances = join(lab.directory, '.dblab/postgres/instances')
    const logs = async () => {
      const files = (await readdir(instances)).map((id) => readFile(join(instances, id, 'postgres.log'), 'utf8'))
      return (await Promise.all(files)).join('')
    }
    const session = await openSession(url)
    const { rows } = await session.query<{ pid: number }>('SELECT pg_backend_pid() AS pid')
    const cut = session.query("SELECT pg_sleep(60) /* password 'hunter2' */").catch((error: unknown) => error)
    process.kill(rows[0]?.pid ?? 0, 'SIGKILL')
    expect(await cut).toBeInstanceOf(Error)
    await eventually('the death is seen', async () => /terminated by signal 9/.test(await logs()))
    const message = await messageOnce('backend', 'OK', /ended in a crash, or was killed, and was started again at /)
    expect(message).toMatch(/terminated by signal 9/)
    await hasItsData(url)
    expect((await postmasterOf(url)).pid).not.toBe(postmaster.pid)
    expect(await logs()).not.toMatch(/hunter2/)
    await other.goesOn()
    await remove('backend')
  })

  const lacking = hasProgram('strace')
    ? !seesAllProcesses && 'in a PID namespace, where nothing tells that no other process uses it'
    : 'no strace, which has a process pause in the middle of a call'
  test.skipIf(lacking)(
    `one of its processes killed as it makes shared memory, which no list names yet: it is freed all the same${lacking ? ` (skipped: ${lacking})` : ''}`,
    async () => {
      const { url } = await make('making')
      const session = await openSession(url)
      await session.query(`SELECT set_config(name, 'on', false) FROM pg_settings
        WHERE name IN ('debug_parallel_query', 'force_parallel_mode')`)
      const { rows } = await session.query<{ pid: number }>('SELECT pg_backend_pid() AS pid')
      const pid = rows[0]?.pid ?? 0
      // https://man7.org/linux/man-pages/man1/strace.1.html: the delay is in microseconds.
      const pause = ['--trace=fallocate', '--inject=fallocate:delay_exit=20000000']
      const tracer = spawn('strace', [...pause, '-p', String(pid)], { stdio: ['ignore', 'ignore', 'pipe'] })
      await once(tracer.stderr, 'data')
      const cut = session.query('SELECT count(*) FROM pg_class').catch((error: unknown) => error)
      const opened = async () => {
        const files = await readdir(`/proc/${pid}/fd`)
        const paths = await Promise.all(files.map((file) => readlink(`/proc/${pid}/fd/${file}`).catch(() => '')))
        return paths.find((path) => path.startsWith('/dev/shm/PostgreSQL.'))
      }
      await eventually('it makes a segment', async () => (await opened()) !== undefined)
      const segment = (await opened()) ?? ''
      // Nobody frees what is in use: not the labs of other tests either, which see the same memory.
      await using use = await open(segment)
      process.kill(pid, 'SIGKILL')
      tracer.kill('SIGKILL')
      expect(await cut).toBeInstanceOf(Error)
      await messageOnce('making', 'OK', /ended in a crash, or was killed, and was started again at /)
      // So that what is seen is what it is here for.
      expect((await stat(segment)).size).toBeGreaterThan(0)
      await use.close()
      const isGone = async () => !(await readdir('/dev/shm')).includes(basename(segment))
      await eventually('it is freed', isGone, 45_000)
      await hasItsData(url)
      await other.goesOn()
      await remove('making')
    },
  )

  test('stopped by hand: it runs again, and says that somebody stopped it', async () => {
    const { url, postmaster } = await make('stopped')
    const binDir = dirname(await readlink(`/proc/${postmaster.pid}/exe`))
    // As the account of Postgres: pg_ctl does not run as root.
    const { uid, gid } = await stat(postmaster.dataDir)
    await execute(join(binDir, 'pg_ctl'), ['stop', '-D', postmaster.dataDir, '-m', 'fast'], { uid, gid, cwd: '/' })
    const message = await messageOnce('stopped', 'OK', /was stopped by somebody, and was started again/)
    expect(message).toMatch(/database system is shut down/)
    await hasItsData(url)
    await other.goesOn()
    await remove('stopped')
  })

  test('hanging: its status says so until it goes on; hanging still, it can be reset', async () => {
    const { url, postmaster } = await make('hanging')
    process.kill(postmaster.pid, 'SIGSTOP')
    const message = await messageOnce('hanging', 'FATAL', /runs and does not answer/, 100_000)
    expect(message).toContain(`kill -CONT ${postmaster.pid}`)
    process.kill(postmaster.pid, 'SIGCONT')
    await messageOnce('hanging', 'OK', /^Database is ready$/)
    await hasItsData(url)
    process.kill(postmaster.pid, 'SIGSTOP')
    await resetAndDelete('hanging')
    await other.goesOn()
  })

  test('never ready when it starts: given up at its deadline with the words of its log, and a reset need not wait for that', async () => {
    const { postmaster } = await make('unready')
    // Recovery from an archive whose command does not end.
    await writeFile(join(postmaster.dataDir, 'postgresql.auto.conf'), "restore_command = 'sleep 1000'\n")
    await writeFile(join(postmaster.dataDir, 'recovery.signal'), '')
    process.kill(postmaster.pid, 'SIGKILL')
    await messageOnce('unready', 'CREATING', /starting again/)
    const message = await messageOnce('unready', 'FATAL', /was not ready after 6000 ms/)
    expect(message).toMatch(/LOG: {2}database system was interrupted/)
    expect(message).toMatch(/will be tried again; .*reset the clone/s)
    await messageOnce('unready', 'CREATING', /starting again/)
    await resetAndDelete('unready')
    await other.goesOn()
  })

  test('damaged so that it panics at each start: the words of its log say so, and it can be reset and deleted', async () => {
    // Else a process of it could still write there, after us.
    const { pid, dataDir } = await makeAtRest('panics')
    const wal = join(dataDir, 'pg_wal')
    const segments = (await readdir(wal)).filter((name) => /^[0-9A-F]{24}$/.test(name))
    for (const name of segments) await writeFile(join(wal, name), Buffer.alloc((await stat(join(wal, name))).size))
    process.kill(pid, 'SIGKILL')
    const message = await messageOnce('panics', 'FATAL', /could not be started, and will be tried again/)
    expect(message).toMatch(/(PANIC|FATAL): .*checkpoint record/)
    expect(message.length).toBeLessThan(5000)
    await other.goesOn()
    await resetAndDelete('panics')
  })

  test('without its control file: it says what it can’t read, and can be deleted as it is', async () => {
    const { pid, dataDir } = await makeAtRest('uncontrolled')
    const control = join(dataDir, 'global/pg_control')
    await writeFile(control, Buffer.alloc((await stat(control)).size))
    process.kill(pid, 'SIGKILL')
    await messageOnce('uncontrolled', 'FATAL', /(PANIC|FATAL): .*(incompatible|control file|checksum)/)
    await other.goesOn()
    await remove('uncontrolled')
  })

  test('a damaged table is its user’s error, and gone with a reset', async () => {
    const { url, postmaster } = await make('torn')
    const [where] = await query<{ path: string }>(url, "SELECT pg_relation_filepath('products') AS path")
    const file = join(postmaster.dataDir, where?.path ?? '')
    process.kill(postmaster.pid, 'SIGKILL')
    await writeFile(file, (await readFile(file)).fill('x', 0, 8192))
    await messageOnce('torn', 'OK', /started again/)
    await hasItsData(url)
    // data_corrupted
    await expect(query(url, 'SELECT count(*) FROM products')).rejects.toMatchObject({ code: 'XX001' })
    expect((await get('torn')).status.code).toBe('OK')
    await other.goesOn()
    await resetAndDelete('torn')
  })

  test('a postmaster.pid that names somebody else keeps nothing from starting, and that one is left alone', async () => {
    const { url, postmaster } = await make('reused')
    const stranger = spawn('sleep', ['600'], { stdio: 'ignore' })
    await once(stranger, 'spawn')
    try {
      const file = join(postmaster.dataDir, 'postmaster.pid')
      const lines = (await readFile(file, 'utf8')).split('\n')
      await lab.kill()
      process.kill(postmaster.pid, 'SIGKILL')
      await writeFile(file, [String(stranger.pid), ...lines.slice(1)].join('\n'))
      const records = join(lab.directory, '.dblab/postgres/instances')
      for (const id of await readdir(records)) {
        const record = join(records, id, 'process.json')
        const noted = JSON.parse(await readFile(record, 'utf8'))
        // The pid is another's by now, which started at another time.
        if (noted.pid === postmaster.pid) await writeFile(record, JSON.stringify({ ...noted, pid: stranger.pid }))
      }
      await lab.start()
      await messageOnce('reused', 'OK', /^Database is ready$/)
      await hasItsData(url)
      expect(stranger.exitCode ?? stranger.signalCode).toBeNull()
    } finally {
      stranger.kill('SIGKILL')
    }
    await other.goesOn()
    await remove('reused')
  })

  test('a stranger on its port: the status says so, and it runs as soon as that one is gone', async () => {
    const { clone, url, postmaster } = await make('crowded')
    await lab.kill()
    process.kill(postmaster.pid, 'SIGKILL')
    const stranger = createServer()
    await eventually(
      'the port is free',
      () =>
        new Promise<boolean>((resolve) => {
          stranger.once('error', () => resolve(false))
          stranger.listen(Number(clone.db.port), '127.0.0.1', () => resolve(true))
        }),
    )
    await lab.start()
    const message = await messageOnce('crowded', 'FATAL', /is taken by another program/)
    expect(message).toContain(`port ${clone.db.port}`)
    await other.goesOn()
    stranger.close()
    await once(stranger, 'close')
    await messageOnce('crowded', 'OK', /^Database is ready/, 60_000)
    await hasItsData(url)
    await remove('crowded')
  })
})
