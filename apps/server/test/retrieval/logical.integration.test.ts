import { execFileSync } from 'node:child_process'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { Client } from 'pg'
import { describe, expect, test } from 'vitest'
import { eventually, type TestLab } from '../support/lab.ts'
import { DUMP_PASSWORD, LiveSource } from './live-source.ts'
import { FILL, load } from './load.ts'
import { SLOW_TO_RESTORE } from './tools-at-work.ts'
import { checksums, done, ended, inClone, labOf, lacking, logical, needSource } from './world.ts'

/** A source with two databases. */
async function source(): Promise<LiveSource> {
  const made = await LiveSource.make(needSource())
  await made.query('postgres', 'CREATE DATABASE shop')
  await made.query('postgres', 'CREATE DATABASE stock')
  for (const database of ['shop', 'stock']) await made.query(database, ...FILL)
  return made
}

/** The snapshots that the lab reads in, as the log of the run tells them. */
async function snapshots(lab: TestLab, count: number): Promise<Map<string, string>> {
  await using client = lab.client()
  const found = new Map<string, string>()
  await eventually('the snapshots are told', async () => {
    const { current, runs } = await client.retrieval.get()
    for (const { message } of (current ?? runs[0])?.log ?? []) {
      const [, database, id] = /^reading "(.*)" in snapshot (\S+),/.exec(message) ?? []
      if (database !== undefined && id !== undefined) found.set(database, id)
    }
    return found.size === count
  })
  return found
}

async function checksumsIn(live: LiveSource, database: string, snapshot: string): Promise<Record<string, string>> {
  const client = live.client(database)
  await client.connect()
  await client.query('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY')
  await client.query(`SET TRANSACTION SNAPSHOT ${client.escapeLiteral(snapshot)}`)
  const sums = await checksums(client)
  await client.end()
  return sums
}

describe.skipIf(lacking !== '')(`a logical source${lacking}`, () => {
  test('gives clones each of its databases as it was at the exported snapshot, while it is written to', async () => {
    await using live = await source()
    await using lab = await labOf({ sources: [logical(live.url('shop'), { databases: ['shop', 'stock'] })] })
    // Holds the dump back until the sums are taken.
    const gate = live.client('stock')
    await gate.connect()
    await gate.query('BEGIN; LOCK accounts IN ACCESS EXCLUSIVE MODE')
    const wanted = new Map<string, Record<string, string>>()
    {
      await using _shop = load(live, 'shop')
      await lab.start()
      const held = await snapshots(lab, 2)
      wanted.set('shop', await checksumsIn(live, 'shop', held.get('shop') ?? ''))
      const inStock = checksumsIn(live, 'stock', held.get('stock') ?? '')
      await gate.query('COMMIT')
      wanted.set('stock', await inStock)
    }
    await gate.end()
    const run = await done(lab)
    expect(run).toMatchObject({ outcome: 'DONE', trigger: 'START', attempt: 1 })
    await using client = lab.client()
    const [snapshot] = await client.snapshots.list()
    expect(snapshot).toMatchObject({ id: run.snapshot, database: 'shop', databases: ['postgres', 'shop', 'stock'] })
    const told = /at (\S+), log/.exec(run.log.find(({ message }) => message.startsWith('reading'))?.message ?? '')?.[1]
    expect(Math.abs(Date.parse(snapshot?.timestamp ?? '') - Date.parse(told ?? ''))).toBeLessThan(1000)
    expect(await inClone(lab, 'shop', checksums)).toEqual(wanted.get('shop'))
    expect(await inClone(lab, 'stock', checksums)).toEqual(wanted.get('stock'))
    // A user may do what it likes in either.
    await inClone(lab, 'stock', (db) => db.query('ALTER TABLE accounts ADD COLUMN x int; DROP TABLE entries'))
    expect(await live.sessions()).toEqual([])
    expect(await dumpsLeft(lab)).toEqual([])
  })

  test('is refreshed beside what is there: a clone of the old generation goes on, a new one gets the new data', async () => {
    await using live = await source()
    await using lab = await labOf({ sources: [logical(live.url('shop'))] })
    await lab.start()
    await ended(lab)
    await using client = lab.client()
    await using old = await client.clones.create({})
    const session = new Client({ connectionString: old.connectionString() })
    await session.connect()
    await session.query('CREATE TEMPORARY TABLE mine (i int)')
    await live.query('shop', "INSERT INTO accounts VALUES (0, 'new', 7)")
    const run = await client.retrieval.refresh()
    expect(run).toMatchObject({ outcome: 'RUNNING', trigger: 'REQUEST' })
    await expect(client.retrieval.refresh()).rejects.toMatchObject({ code: 'REFRESH_RUNNING' })
    const done = await client.retrieval.waitUntilDone(run)
    expect((await client.snapshots.list()).map(({ id }) => id)).toContain(done.snapshot)
    expect((await session.query('SELECT count(*)::int AS n FROM accounts')).rows).toEqual([{ n: 20_000 }])
    await session.query('INSERT INTO mine VALUES (1)')
    await session.end()
    const found = await inClone(lab, 'shop', (db) => db.query('SELECT owner FROM accounts WHERE id = 0'))
    expect(found.rows).toEqual([{ owner: 'new' }])
  })

  test('comes with what only superusers may own, and with views of theirs over the tables of others', async () => {
    await using live = await source()
    await live.query(
      'shop',
      'CREATE ROLE app',
      'CREATE SCHEMA app AUTHORIZATION app',
      'SET ROLE app; CREATE TABLE app.t AS SELECT 1 AS i; RESET ROLE',
      'REVOKE ALL ON app.t FROM PUBLIC',
      'CREATE MATERIALIZED VIEW mv AS SELECT * FROM app.t',
      `CREATE FUNCTION e() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END'`,
      'CREATE EVENT TRIGGER watch ON ddl_command_end EXECUTE FUNCTION e()',
    )
    await using lab = await labOf({ sources: [logical(live.url('shop'), { databases: ['shop', 'stock'] })] })
    await lab.start()
    const run = await done(lab)
    expect(run.log.map(({ message }) => message)).toContain('"shop": event triggers switched off: watch')
    const { rows } = await inClone(lab, 'shop', (db) =>
      db.query(
        `SELECT (SELECT i FROM mv), (SELECT string_agg(rolname, ' ' ORDER BY rolname) FROM pg_roles WHERE rolsuper) AS superusers`,
      ),
    )
    expect(rows).toEqual([{ i: 1, superusers: 'dblab' }])
  })

  test('brings what is chosen, and needs rights on nothing else: some schemas, all but some tables, some tables without rows', async () => {
    await using live = await source()
    await live.query(
      'shop',
      'CREATE SCHEMA sales',
      'CREATE TABLE sales.a AS SELECT 1 AS i',
      'CREATE TABLE big AS SELECT 1 AS i',
    )
    const chosen = { excludeTables: ['public.big'], excludeTableData: ['public.entries'] }
    await live.query(
      'shop',
      'INSERT INTO entries (account) VALUES (1)',
      'REVOKE pg_read_all_data FROM dump',
      'GRANT USAGE ON SCHEMA sales TO dump',
      'GRANT SELECT ON accounts, sales.a TO dump',
    )
    await using lab = await labOf({
      sources: [logical(live.url('shop'), chosen), logical(live.url('stock'), { schemas: ['none'] })],
    })
    await lab.start()
    const failure = (message: string) => ({
      outcome: 'FAILED',
      error: { code: 'INVALID', message: expect.stringContaining(message) },
    })
    // pg_dump locks what it leaves the rows out of.
    expect(await ended(lab)).toMatchObject(
      failure('may not read 2 tables or sequences of "shop": public.entries, public.entries_id_seq'),
    )
    await live.query('shop', 'GRANT SELECT ON entries, entries_id_seq TO dump')
    await lab.fetch('/refresh', { method: 'POST' })
    expect(await ended(lab)).toMatchObject(failure('none'))
    await live.query(
      'stock',
      'CREATE SCHEMA none',
      'CREATE TABLE none.b AS SELECT 2 AS i',
      'GRANT USAGE ON SCHEMA none TO dump',
      'GRANT SELECT ON none.b TO dump',
    )
    await lab.fetch('/refresh', { method: 'POST' })
    expect(await done(lab)).toMatchObject({ outcome: 'DONE' })
    const tables = async (database: string) => Object.entries(await inClone(lab, database, checksums))
    expect((await tables('shop')).map(([name, sum]) => [name, sum.split(':')[0]])).toEqual([
      ['public.accounts', '20000'],
      ['public.entries', '0'],
      ['sales.a', '1'],
    ])
    expect((await tables('stock')).map(([name]) => name)).toEqual(['"none".b'])
  })

  test('is left alone when the refresh is stopped, and so is what was there before', async () => {
    await using live = await source()
    await using lab = await labOf({ sources: [logical(live.url('shop'))] })
    await lab.start()
    await ended(lab)
    await using client = lab.client()
    const before = await client.snapshots.list()
    await expect(client.retrieval.cancel()).rejects.toMatchObject({ code: 'REFRESH_NOT_RUNNING' })
    const gate = live.client('shop')
    await gate.connect()
    await gate.query('BEGIN; LOCK accounts IN ACCESS EXCLUSIVE MODE')
    await client.retrieval.refresh()
    await snapshots(lab, 1)
    await eventually('the dump waits', async () => (await live.sessions()).length >= 2)
    const run = await client.retrieval.cancel()
    expect(run).toMatchObject({ outcome: 'CANCELLED', error: { code: 'ABORTED' }, snapshot: '' })
    await eventually('the source is free', async () => (await live.sessions()).length === 0)
    await gate.end()
    expect(await client.snapshots.list()).toEqual(before)
    expect(await dumpsLeft(lab)).toEqual([])
    expect(await volumes(lab)).toHaveLength(1)
    expect((await client.retrieval.get()).status).toMatchObject({ code: 'OK' })
  })

  test.each(['pg_dump', 'pg_restore'])(
    'a %s that is killed lets the run begin again, with a snapshot of its own',
    async (tool) => {
      await using live = await source()
      await live.query('shop', ...SLOW_TO_RESTORE)
      await using lab = await labOf({ sources: [logical(live.url('shop'))] })
      const gate = live.client('shop')
      await gate.connect()
      if (tool === 'pg_dump') await gate.query('BEGIN; LOCK accounts IN ACCESS EXCLUSIVE MODE')
      await lab.start()
      const pids = await processes(tool, live, lab)
      process.kill(pids[0] ?? 0, 'SIGKILL')
      await eventually(
        'it is told',
        async () => (await (await lab.fetch('/retrieval')).text()).includes('killed'),
        60_000,
      )
      if (tool === 'pg_dump') await gate.query('COMMIT')
      await gate.end()
      const run = await ended(lab)
      expect(run).toMatchObject({ outcome: 'DONE', attempt: 2, error: { code: 'UNAVAILABLE' } })
      const ids = run.log.flatMap(({ message }) => /in snapshot (\S+),/.exec(message)?.[1] ?? [])
      expect(new Set(ids).size).toBe(2)
      expect(await volumes(lab)).toHaveLength(1)
      expect(await live.sessions()).toEqual([])
    },
  )

  test('a server that is killed in the middle leaves no tool, no session and no password, and the next run succeeds', async () => {
    await using live = await source()
    await using lab = await labOf({ sources: [logical(live.url('shop'))] })
    await lab.start()
    await ended(lab)
    await using client = lab.client()
    const before = (await client.snapshots.list()).map(({ id }) => id)
    const gate = live.client('shop')
    await gate.connect()
    await gate.query('BEGIN; LOCK accounts IN ACCESS EXCLUSIVE MODE')
    await client.retrieval.refresh()
    await processes('pg_dump', live, lab)
    expect(await readdir(join(lab.directory, '.dblab/source'))).toEqual(['pgpass'])
    await lab.kill()
    await eventually('the tools have ended', () => toolsOf(live, lab, 'pg_dump').length === 0)
    await eventually('the source is free', async () => (await live.sessions()).length === 0)
    await gate.end()
    await lab.start()
    expect(await readdir(join(lab.directory, '.dblab'))).not.toContain('source')
    expect((await client.snapshots.list()).map(({ id }) => id)).toEqual(before)
    const { status, runs } = await client.retrieval.get()
    expect(status.code).toBe('FAILED')
    expect(runs[0]).toMatchObject({ outcome: 'FAILED', error: { code: 'INTERRUPTED' } })
    expect((await client.status()).warnings.map(({ code }) => code)).toContain('RETRIEVAL_FAILED')
    await client.retrieval.waitUntilDone(await client.retrieval.refresh())
    expect((await client.status()).warnings.map(({ code }) => code)).not.toContain('RETRIEVAL_FAILED')
    expect(lab.output).not.toContain(DUMP_PASSWORD)
  })

  test('a source that goes down in the middle is waited for, and its reason is told', async () => {
    await using live = await source()
    await using lab = await labOf({ attempts: 20, retrySeconds: 0.5, sources: [logical(live.url('shop'))] })
    const gate = live.client('shop')
    await gate.connect()
    await gate.query('BEGIN; LOCK accounts IN ACCESS EXCLUSIVE MODE')
    await lab.start()
    await processes('pg_dump', live, lab)
    await live.stop()
    await gate.end().catch(() => undefined)
    await using client = lab.client()
    await eventually('it waits for the source', async () => ((await client.retrieval.get()).current?.attempt ?? 0) > 1)
    await live.start()
    expect(await done(lab)).toMatchObject({ outcome: 'DONE', error: { code: 'UNAVAILABLE' } })
  })

  test('a snapshot is not held on the source for longer than is allowed', async () => {
    await using live = await source()
    await using lab = await labOf({ sources: [logical(live.url('shop'), { maxSnapshotMinutes: 0.1 })] })
    const gate = live.client('shop')
    await gate.connect()
    await gate.query('BEGIN; LOCK accounts IN ACCESS EXCLUSIVE MODE')
    await lab.start()
    let oldest = 0
    await eventually('the dump is given up', async () => {
      for (const { age } of await live.sessions()) oldest = Math.max(oldest, age)
      return (await (await lab.fetch('/retrieval')).text()).includes('"TIMEOUT"')
    })
    expect(oldest).toBeGreaterThan(2)
    expect(oldest).toBeLessThan(6)
    expect(await live.sessions()).toEqual([])
    expect((await ended(lab)).attempt).toBe(1)
    await gate.end()
  })
})

/** What the lab's directories still hold of dumps. */
async function dumpsLeft(lab: TestLab): Promise<string[]> {
  const pool = join(lab.directory, '.dblab/pool')
  return (await readdir(pool, { recursive: true })).filter((path) => /\/dump(\/|$)/.test(path))
}

async function volumes(lab: TestLab): Promise<string[]> {
  return readdir(join(lab.directory, '.dblab/pool/volumes'))
}

/** The pids of a tool that works for this lab on this source. */
function toolsOf(live: LiveSource, lab: TestLab, tool: string): number[] {
  const port = tool === 'pg_dump' ? `port='${live.port}'` : 'dblab_import'
  const lines = execFileSync('ps', ['-eo', 'pid,args', '-ww'], { encoding: 'utf8' }).split('\n')
  const own = lines.filter((line) => line.includes(`/${tool} `) && line.includes(port) && line.includes(lab.directory))
  return own.map((line) => Number.parseInt(line, 10))
}

async function processes(tool: string, live: LiveSource, lab: TestLab): Promise<number[]> {
  let found: number[] = []
  await eventually(
    `there is a ${tool}`,
    () => {
      found = toolsOf(live, lab, tool)
      return found.length > 0
    },
    60_000,
  )
  return found
}
