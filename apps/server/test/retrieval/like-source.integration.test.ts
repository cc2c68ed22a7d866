import { appendFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { Clone, Snapshot } from '@dblab/models'
import { PLAN_SETTINGS, run } from '@dblab/provision'
import { isLong, isRoot } from '@dblab/provision/testbed'
import { describe, expect, test } from 'vitest'
import { createClone, LOGIN, urlOf } from '../support/clones.ts'
import { eventually, type TestLab } from '../support/lab.ts'
import { postmasterOf } from '../support/postmaster.ts'
import { query } from '../support/sql.ts'
import { settled, statusOf } from '../support/whole.ts'
import { LiveSource } from './live-source.ts'
import { done, labOf, lacking, logical, needSource, physical } from './world.ts'

/** As hardly anybody has them all at once. */
const PECULIAR = {
  random_page_cost: '1.1',
  work_mem: '64MB',
  enable_hashjoin: 'off',
  effective_cache_size: '3GB',
  max_parallel_workers_per_gather: '0',
  default_statistics_target: '250',
  jit: 'off',
  shared_buffers: '200MB',
}

const DATA = [
  'CREATE TABLE goods AS SELECT i AS id, i % 500 AS kind, repeat(md5(i::text), 3) AS name FROM generate_series(1, 50000) i',
  'CREATE TABLE sales AS SELECT i AS id, 1 + i % 50000 AS good, i % 97 AS amount FROM generate_series(1, 100000) i',
  'ALTER TABLE goods ADD PRIMARY KEY (id)',
  'CREATE INDEX ON goods (kind)',
  'VACUUM (ANALYZE) goods, sales',
]

const QUERY = 'EXPLAIN (COSTS OFF) SELECT kind, sum(amount) FROM goods JOIN sales ON good = goods.id GROUP BY kind'

async function source(settings: Record<string, string> = PECULIAR): Promise<LiveSource> {
  const live = await LiveSource.make(needSource(), { settings: { wal_keep_size: '1GB', ...settings } })
  await live.query('postgres', 'ALTER ROLE dump REPLICATION', 'CREATE DATABASE shop')
  await live.query('shop', ...DATA)
  return live
}

type Ask = <Row extends object>(sql: string) => Promise<Row[]>

const ofClone = (clone: Clone): Ask => {
  return (sql) => query(urlOf(clone), sql)
}
const ofSource = (live: LiveSource): Ask => {
  return (sql) => live.query('shop', sql)
}

async function planIn(ask: Ask): Promise<string> {
  return (await ask<{ 'QUERY PLAN': string }>(QUERY)).map((row) => row['QUERY PLAN']).join('\n')
}

async function settingsIn(ask: Ask, names: readonly string[] = PLAN_SETTINGS): Promise<Record<string, string>> {
  const rows = await ask<{ name: string; setting: string }>(
    `SELECT name, setting FROM pg_settings WHERE name = ANY ('{${names.join()}}')`,
  )
  return Object.fromEntries(rows.map(({ name, setting }) => [name, setting]))
}

/** Of statistics. */
function finenessIn(ask: Ask): Promise<object[]> {
  return ask(
    `SELECT array_length(histogram_bounds, 1) AS bounds FROM pg_stats WHERE tablename = 'goods' AND attname = 'id'`,
  )
}

/** Of all that decides plans and both versions know. */
async function expectLike(live: LiveSource, clone: Clone): Promise<void> {
  expect(clone).toMatchObject({ status: { code: 'OK' }, profile: 'like-source' })
  expect(await planIn(ofClone(clone))).toBe(await planIn(ofSource(live)))
  const [there, here] = [await settingsIn(ofSource(live)), await settingsIn(ofClone(clone))]
  expect(here).toMatchObject(Object.fromEntries(Object.entries(there).filter(([name]) => name in here)))
}

async function snapshots(lab: TestLab): Promise<Snapshot[]> {
  return (await (await lab.fetch('/snapshots')).json()) as Snapshot[]
}

async function refused(lab: TestLab, json: Record<string, unknown>, path = '/clone'): Promise<unknown> {
  const answer = await lab.fetch(path, { method: 'POST', json })
  return { status: answer.status, ...((await answer.json()) as object) }
}

describe.skipIf(lacking !== '')(`clones that are like their source${lacking}`, { timeout: 240_000 }, () => {
  const kinds: [string, (url: string) => object][] = [
    ['logical', logical],
    ['followed', (url) => physical(url, { follow: true })],
  ]
  if (isLong) kinds.push(['physical', physical])
  test.each(kinds)('plan as it does, from then on: %s', async (_kind, kind) => {
    await using live = await source()
    await using lab = await labOf({ sources: [kind(live.url('shop'))] })
    await lab.start()
    await done(lab)
    const dev = await createClone(lab, { id: 'dev' })
    expect(dev.profile).toBe('dev')
    expect(await planIn(ofClone(dev))).not.toBe(await planIn(ofSource(live)))
    const like = await createClone(lab, { id: 'like', profile: 'like-source' })
    await expectLike(live, like)
    expect(await finenessIn(ofClone(like))).toEqual(await finenessIn(ofSource(live)))
    expect(await settingsIn(ofClone(like), ['fsync', 'shared_buffers', 'max_worker_processes'])).toEqual({
      ...{ fsync: 'on', shared_buffers: '4096', max_worker_processes: '8' },
    })

    await lab.fetch('/clone/like/reset?wait=60', { method: 'POST', json: {} })
    const [, reset] = await settled(lab)
    await expectLike(live, reset as Clone)
    await lab.fetch('/snapshot', { method: 'POST', json: { cloneId: 'dev', id: 'of-a-clone' } })
    expect((await snapshots(lab)).map(({ hasPlanSettings }) => hasPlanSettings)).toEqual([true, true])

    await lab.interrupt()
    process.kill((await postmasterOf(urlOf(like))).pid, 'SIGKILL')
    for (const end of ['', '-wal', '-shm', '-seal'])
      await rm(join(lab.directory, `.dblab/catalogue.db${end}`), { force: true })
    expect(await lab.run(['rebuild', '--yes'])).toMatchObject({ code: 0 })
    await lab.start()
    for (const clone of await settled(lab)) if (clone.id === 'like') await expectLike(live, clone)
    expect((await snapshots(lab)).map(({ hasPlanSettings }) => hasPlanSettings)).toEqual([true, true])
    const profile = 'like-source'
    await expectLike(live, await createClone(lab, { id: 'inherits', profile, snapshot: 'of-a-clone' }))
  })

  test.skipIf(!isRoot)('stand ready where they are the default, under the settings of the lab', async () => {
    await using live = await source()
    const clones = { profile: 'like-source', warm: 1 }
    const config = { clones, postgres: { settings: { work_mem: '7MB' } } }
    await using lab = await labOf({ sources: [logical(live.url('shop'))] }, config)
    await lab.start()
    await done(lab)
    await eventually('an instance stands ready', async () => (await statusOf(lab)).warm.ready === 1)
    const clone = await createClone(lab)
    expect(clone).toMatchObject({ profile: 'like-source', steps: [{ name: 'handover' }] })
    expect(await planIn(ofClone(clone))).toBe(await planIn(ofSource(live)))
    expect(await settingsIn(ofClone(clone), ['work_mem', 'enable_hashjoin', 'jit'])).toEqual({
      ...{ work_mem: '7168', enable_hashjoin: 'off', jit: 'off' },
    })
    expect((await statusOf(lab)).warnings).toEqual([])
  })

  test('know all that this Postgres says to decide plans', async () => {
    await using live = await source({})
    await using lab = await labOf({ sources: [logical(live.url('shop'))] })
    await lab.start()
    await done(lab)
    const rows = await query<{ name: string }>(
      urlOf(await createClone(lab)),
      `SELECT name FROM pg_settings WHERE 'EXPLAIN' = ANY (pg_settings_get_flags(name)) OR category LIKE 'Query Tuning%'`,
    )
    expect(PLAN_SETTINGS).toEqual(
      expect.arrayContaining(rows.map(({ name }) => name).filter((name) => name !== 'search_path')),
    )
  })

  test('have no settings from a dump, which is told where they are asked for, and are dev where they are the default', async () => {
    await using live = await source()
    const path = join(live.directory, 'socket', 'shop.sql')
    const from = ['-h', live.socketDir, '-p', String(live.port), '-U', 'postgres', '-f', path, 'shop']
    await run([join(live.binaries.binDir, 'pg_dump'), ...from])
    await using lab = await labOf({ sources: [{ kind: 'file', path }] }, { clones: { profile: 'like-source' } })
    await lab.start()
    await done(lab)
    expect((await snapshots(lab))[0]).toMatchObject({ hasPlanSettings: false })
    expect(await refused(lab, { db: LOGIN, profile: 'like-source' })).toMatchObject({
      ...{ status: 409, code: 'SOURCE_SETTINGS_UNKNOWN', name: "Source's settings are not known" },
      hint: expect.stringContaining('hasPlanSettings'),
    })
    expect(await createClone(lab)).toMatchObject({ profile: 'dev', status: { code: 'OK' } })
    expect((await statusOf(lab)).warnings).toMatchObject([{ code: 'SOURCE_SETTINGS_UNKNOWN' }])
  })

  test('have those of the files of a data directory, where these say all', async () => {
    await using live = await source()
    await live.query('postgres', `ALTER SYSTEM SET work_mem = '63 MB'`)
    await live.stop('SIGINT')
    const files = { kind: 'directory', path: live.dataDir, database: 'shop' }
    await using lab = await labOf({ sources: [files], keep: { count: 3 } })
    await lab.start()
    await done(lab)
    const like = await createClone(lab, { id: 'like', profile: 'like-source' })
    await appendFile(join(live.dataDir, 'postgresql.conf'), "include_if_exists = 'more.conf'\n")
    await lab.fetch('/refresh', { method: 'POST' })
    await eventually('another generation', async () => (await snapshots(lab)).length === 2)
    const [newest] = await snapshots(lab)
    expect(newest).toMatchObject({ hasPlanSettings: false })
    expect(await refused(lab, { snapshot: newest?.id }, '/clone/like/reset')).toMatchObject({
      code: 'SOURCE_SETTINGS_UNKNOWN',
    })
    await live.start()
    await expectLike(live, like)
  })

  test('take nothing from a source but what those settings can be', async () => {
    await using live = await source()
    await live.query('postgres', 'ALTER ROLE dump SET geqo_effort = 7')
    const columns =
      'setting, unit, category, short_desc, extra_desc, context, vartype, source, min_val, max_val, enumvals, boot_val'
    const lies = `CASE name WHEN 'work_mem' THEN E'64MB\\nfsync = off' WHEN 'seq_page_cost' THEN '1 -c fsync=off'
      WHEN 'geqo' THEN 'perhaps' WHEN 'cpu_tuple_cost' THEN '-7' ELSE reset_val END AS reset_val`
    await live.query(
      'shop',
      'SET allow_system_table_mods = on',
      `CREATE OR REPLACE VIEW pg_catalog.pg_settings AS SELECT name, ${columns}, ${lies}, sourcefile, sourceline, pending_restart
       FROM pg_show_all_settings()`,
    )
    await using lab = await labOf({ sources: [logical(live.url('shop'))] })
    await lab.start()
    const messages = (await done(lab)).log.map(({ message }) => message).join('\n')
    expect(messages).toMatch(/does not take them: (?=.*work_mem)(?=.*seq_page_cost)(?=.*geqo)(?=.*cpu_tuple_cost)/)
    expect(messages).toMatch(/has its own: geqo_effort;/)
    const clone = await createClone(lab, { profile: 'like-source' })
    expect(await settingsIn(ofClone(clone), ['fsync', 'work_mem', 'seq_page_cost', 'enable_hashjoin'])).toEqual({
      ...{ fsync: 'on', work_mem: '4096', seq_page_cost: '1', enable_hashjoin: 'off' },
    })
  })
})
