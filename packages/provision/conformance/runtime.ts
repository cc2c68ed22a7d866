import { access, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { Client } from 'pg'
import { describe, expect, test } from 'vitest'
import { clusterMajor } from '../src/postgres/cluster.ts'
import { withLabConnection } from '../src/postgres/connect.ts'
import type { Instance, InstanceSpec, PostgresRuntime } from '../src/postgres/runtime.ts'
import { scramVerifier } from '../src/postgres/scram.ts'
import { appears } from '../testbed/index.ts'

/** A runtime, and what a test needs around it. */
export interface OpenedRuntime extends AsyncDisposable {
  runtime: PostgresRuntime
  /** A new object on the same state, as the server has after a restart. */
  reopen(): PostgresRuntime
  /** An empty directory of the runtime's account. */
  emptyDataDir(): Promise<string>
  /** A cluster that was shut down cleanly, each time another one. */
  cluster(): Promise<string>
  freePort(): Promise<number>
  settings: Readonly<Record<string, string>>
}

const PASSWORD = 'correct horse'
const STANDBY = 'standby.signal'

/** What every runtime promises, whatever runs its servers. */
export function runtimeConformance(name: string, open: () => Promise<OpenedRuntime>): void {
  describe(`runtime ${name}`, () => {
    test('passes its own check', async () => {
      await using world = await open()
      await world.runtime.check()
      expect(world.runtime.account.uid).not.toBe(0)
    })

    test('makes an empty directory a cluster with checksums and a password for nobody', async () => {
      await using world = await open()
      const dataDir = await world.emptyDataDir()
      await world.runtime.initialise(dataDir)
      const instance = await world.runtime.start(await specOf(world, 'fresh', dataDir))
      const facts = await query(
        instance,
        `select current_setting('data_checksums') as checksums, pg_encoding_to_char(encoding) as encoding,
           (select count(*)::int from pg_authid where rolpassword is not null) as passwords
         from pg_database where datname = current_database()`,
      )
      expect(facts).toEqual([{ checksums: 'on', encoding: 'UTF8', passwords: 0 }])
    })

    test('refuses to make a cluster where there is something', async () => {
      await using world = await open()
      await expect(world.runtime.initialise(await world.cluster())).rejects.toMatchObject({ code: 'ALREADY_EXISTS' })
    })

    test('lets the lab in over the socket when start resolves, and the user over TCP', async () => {
      await using world = await open()
      const spec = { ...(await specOf(world, 'one', await world.cluster())), users: ['ann'] }
      const instance = await world.runtime.start(spec)
      expect(instance).toMatchObject({ id: 'one', state: 'running', port: spec.port, dataDir: spec.dataDir })
      await addUser(instance, 'ann')
      expect(await loginAs(spec, 'ann', PASSWORD)).toBe('ann')
    })

    test('lets nobody else in, and nobody without the password', async () => {
      await using world = await open()
      const spec = { ...(await specOf(world, 'closed', await world.cluster())), users: ['ann'] }
      const instance = await world.runtime.start(spec)
      await addUser(instance, 'ann')
      await addUser(instance, 'bob')
      await expect(loginAs(spec, 'bob', PASSWORD)).rejects.toMatchObject({ code: '28000' })
      await expect(loginAs(spec, 'dblab', PASSWORD)).rejects.toMatchObject({ code: '28000' })
      await expect(loginAs(spec, 'ann', 'wrong')).rejects.toMatchObject({ code: '28P01' })
      await expect(loginAs({ ...spec, host: instance.socketDir }, 'ann', PASSWORD)).rejects.toMatchObject({
        code: '28000',
      })
    })

    test('gives settings of the spec precedence over those of the data', async () => {
      await using world = await open()
      const dataDir = await world.cluster()
      const spec = await specOf(world, 'set', dataDir)
      const first = await world.runtime.start(spec)
      await query(first, `alter system set work_mem = '7MB'`)
      await query(first, `alter system set listen_addresses = '*'`)
      await world.runtime.stop('set', 'clean')
      const second = await world.runtime.start({ ...spec, settings: { ...spec.settings, work_mem: '9MB' } })
      expect(await query(second, 'show work_mem')).toEqual([{ work_mem: '9MB' }])
      expect(await query(second, 'show listen_addresses')).toEqual([{ listen_addresses: spec.host }])
    })

    test('refuses settings that are its own, and names that are none', async () => {
      await using world = await open()
      const spec = await specOf(world, 'x', await world.cluster())
      const names = ['port', 'hba_file', 'archive_mode', 'work_mem -c fsync', 'Work_Mem', '']
      for (const name of names) {
        const start = world.runtime.start({ ...spec, settings: { [name]: '1' } })
        await expect(start, name).rejects.toMatchObject({ code: 'INVALID' })
      }
      expect(await world.runtime.list()).toEqual([])
    })

    test('tells settings that the server does not take from those that it does, and starts nothing', async () => {
      await using world = await open()
      const major = await clusterMajor(await world.cluster())
      await world.runtime.checkSettings({ work_mem: '8MB', 'an_extension.setting': 'on' }, major)
      await world.runtime.checkSettings({})
      const wrong = [
        [{ work_mem: 'much' }, 'work_mem'],
        [{ no_such_setting: '1' }, 'no_such_setting'],
        [{ port: '1' }, 'port'],
      ] as const
      for (const [settings, named] of wrong) {
        await expect(world.runtime.checkSettings(settings, major)).rejects.toMatchObject({
          code: 'INVALID',
          message: expect.stringContaining(named),
          hint: expect.any(String),
        })
      }
      expect(await world.runtime.list()).toEqual([])
    })

    test('fails with the last lines of the log when a setting is wrong, and runs nothing', async () => {
      await using world = await open()
      const spec = await specOf(world, 'bad', await world.cluster())
      const settings = { ...spec.settings, shared_buffers: 'much' }
      await expect(world.runtime.start({ ...spec, settings })).rejects.toMatchObject({
        code: 'FAILED',
        message: expect.stringContaining('shared_buffers'),
        hint: expect.any(String),
      })
      expect(await world.runtime.inspect('bad')).toMatchObject({ state: 'dead', pid: undefined })
    })

    test('says IN_USE when somebody else has the port', async () => {
      await using world = await open()
      const first = await specOf(world, 'first', await world.cluster())
      await world.runtime.start(first)
      const second = { ...(await specOf(world, 'second', await world.cluster())), port: first.port }
      await expect(world.runtime.start(second)).rejects.toMatchObject({ code: 'IN_USE' })
      expect((await world.runtime.list()).map(({ id, state }) => `${id} ${state}`).sort()).toEqual([
        'first running',
        'second dead',
      ])
    })

    test('refuses a second server on the same directory, and does not disturb the first', async () => {
      await using world = await open()
      const spec = await specOf(world, 'first', await world.cluster())
      const instance = await world.runtime.start(spec)
      await expect(world.runtime.start(spec)).rejects.toMatchObject({ code: 'ALREADY_EXISTS' })
      const again = { ...spec, id: 'second', port: await world.freePort() }
      await expect(world.runtime.start(again)).rejects.toMatchObject({ code: 'ALREADY_EXISTS' })
      expect(await query(instance, 'select 1 as one')).toEqual([{ one: 1 }])
    })

    test.each(['clean', 'immediate'] as const)(
      'is gone after a stop that is %s, which can be repeated',
      async (mode) => {
        await using world = await open()
        const spec = await specOf(world, 'one', await world.cluster())
        const { pid } = await world.runtime.start(spec)
        await world.runtime.stop('one', mode)
        expect(await world.runtime.inspect('one')).toMatchObject({ state: 'dead' })
        expect(() => process.kill(pid ?? 0, 0)).toThrow('ESRCH')
        await world.runtime.stop('one', mode)
        await world.runtime.stop('never-was', mode)
        await world.runtime.start(spec)
      },
    )

    test('keeps what was committed over a stop of either kind', async () => {
      await using world = await open()
      const spec = await specOf(world, 'one', await world.cluster())
      await query(await world.runtime.start(spec), 'create table public.kept as select 1 as n')
      await world.runtime.stop('one', 'immediate')
      await query(await world.runtime.start(spec), 'insert into public.kept values (2)')
      await world.runtime.stop('one', 'clean')
      expect(await query(await world.runtime.start(spec), 'select sum(n)::int from public.kept')).toEqual([{ sum: 3 }])
    })

    test('forgets an instance that is removed, and leaves its data', async () => {
      await using world = await open()
      const spec = await specOf(world, 'one', await world.cluster())
      const instance = await world.runtime.start(spec)
      await world.runtime.remove('one')
      expect(await world.runtime.list()).toEqual([])
      expect(await world.runtime.inspect('one')).toBeUndefined()
      await expect(access(instance.socketDir)).rejects.toMatchObject({ code: 'ENOENT' })
      await expect(access(instance.logFile)).rejects.toMatchObject({ code: 'ENOENT' })
      await access(spec.dataDir)
      await world.runtime.remove('one')
    })

    test('lists what was started, running or dead, to another object too', async () => {
      await using world = await open()
      await world.runtime.start(await specOf(world, 'up', await world.cluster()))
      await world.runtime.start(await specOf(world, 'down', await world.cluster()))
      await world.runtime.stop('down', 'clean')
      const other = world.reopen()
      const seen = (await other.list()).map(({ id, state }) => `${id} ${state}`).sort()
      expect(seen).toEqual(['down dead', 'up running'])
      await other.stop('up', 'clean')
      expect(await world.runtime.inspect('up')).toMatchObject({ state: 'dead' })
    })

    test('stops the start at a word from its caller, and leaves nothing running', async () => {
      await using world = await open()
      const spec = await specOf(world, 'cut', await world.cluster())
      const abort = new AbortController()
      const start = world.runtime.start({ ...spec, ...(await neverReady(spec)) }, { signal: abort.signal })
      const refusal = expect(start).rejects.toMatchObject({ code: 'ABORTED' })
      await appears(join(spec.dataDir, 'postmaster.pid'))
      abort.abort()
      await refusal
      await rm(join(spec.dataDir, STANDBY))
      expect((await world.runtime.list()).filter(({ state }) => state === 'running')).toEqual([])
      await world.runtime.start(spec)
    })

    test('shows the last lines of the log, oldest first', async () => {
      await using world = await open()
      await world.runtime.start(await specOf(world, 'one', await world.cluster()))
      const log = await world.runtime.logs('one', 100)
      expect(log.at(-1)).toContain('ready to accept connections')
      expect(await world.runtime.logs('one', 1)).toEqual(log.slice(-1))
      expect(await world.runtime.logs('never-was', 10)).toEqual([])
    })

    test('has one stand still, which answers nobody until it goes on, and can be stopped and removed all the same', async () => {
      await using world = await open()
      const spec = { ...(await specOf(world, 'one', await world.cluster())), users: ['ann'] }
      const instance = await world.runtime.start(spec)
      await addUser(instance, 'ann')
      const session = new Client({ ...spec, user: 'ann', password: PASSWORD, database: 'postgres', ssl: false })
      await session.connect()
      session.on('error', () => undefined)
      await world.runtime.halt('one')
      const answer = session.query('select 1 as one').then(({ rows }) => rows)
      expect(await Promise.race([answer, sleep(300)])).toBeUndefined()
      await world.runtime.resume('one')
      expect(await answer).toEqual([{ one: 1 }])
      await world.runtime.resume('one')
      await world.reopen().halt('one')
      await world.runtime.stop('one', 'clean')
      for (const act of ['halt', 'resume'] as const) for (const id of ['one', 'never-was']) await world.runtime[act](id)
      await world.runtime.start(spec)
      await world.runtime.halt('one')
      await world.runtime.remove('one')
      expect(await world.runtime.list()).toEqual([])
    })

    test('refuses ids that are no plain names', async () => {
      await using world = await open()
      for (const id of ['', '.', '..', '../x', 'a/b', '-x', 'a b', 'x\0']) {
        await expect(world.runtime.stop(id, 'immediate'), id).rejects.toMatchObject({ code: 'INVALID' })
      }
    })

    test('starts several at once', async () => {
      await using world = await open()
      const ids = ['a', 'b', 'c', 'd']
      await Promise.all(ids.map(async (id) => world.runtime.start(await specOf(world, id, await world.cluster()))))
      expect((await world.runtime.list()).map(({ state }) => state)).toEqual(ids.map(() => 'running'))
      await Promise.all(ids.map((id) => world.runtime.remove(id)))
      expect(await world.runtime.list()).toEqual([])
    })
  })
}

async function specOf(world: OpenedRuntime, id: string, dataDir: string): Promise<InstanceSpec> {
  return { id, dataDir, host: '127.0.0.1', port: await world.freePort(), users: [], settings: world.settings }
}

/** Makes the data a standby's whose source never answers, and that takes no connections meanwhile. */
async function neverReady({ dataDir, settings }: InstanceSpec): Promise<Pick<InstanceSpec, 'settings'>> {
  await writeFile(join(dataDir, STANDBY), '')
  return { settings: { ...settings, restore_command: 'sleep 1000', hot_standby: 'off', wal_level: 'replica' } }
}

async function query(instance: Instance, sql: string): Promise<unknown[]> {
  return withLabConnection(instance, 'postgres', async (client) => (await client.query(sql)).rows)
}

async function addUser(instance: Instance, name: string): Promise<void> {
  await query(instance, `create role ${name} login password '${await scramVerifier(PASSWORD)}'`)
}

async function loginAs(at: { host: string; port: number }, user: string, password: string): Promise<unknown> {
  const client = new Client({ ...at, host: at.host, user, password, database: 'postgres', ssl: false })
  try {
    await client.connect()
    const { rows } = await client.query<{ user: string }>('select session_user as user')
    return rows[0]?.user
  } finally {
    await client.end()
  }
}
