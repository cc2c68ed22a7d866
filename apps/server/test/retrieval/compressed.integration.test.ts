import { chmod, open, readFile, rm, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { gzipSync, zstdCompressSync } from 'node:zlib'
import { IMPORT_ROLE, prepareBase, withLabConnection } from '@dblab/provision'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { inspectDump } from '../../src/retrieval/dump/dump.ts'
import { importDump } from '../../src/retrieval/dump/import.ts'
import type { RestoreStep } from '../../src/retrieval/dump/restore-progress.ts'
import type { Compression } from '../../src/retrieval/dump/unpack.ts'
import { bringIn, lacking, planOf, toolOf, tools } from './bring-in.ts'
import { binariesUnderTest, type Cluster, startCluster } from './cluster.ts'
import { dump, fillSource, oddDatabase } from './dumps.ts'

const binaries = (await binariesUnderTest()).find(({ major }) => major <= (tools.pg_dump?.major ?? 0))

const compress: Record<Compression, (data: Buffer | string) => Buffer> = {
  gzip: (data) => gzipSync(data),
  zstd: (data) => zstdCompressSync(data),
}

const begun = '--\n-- PostgreSQL database dump\n--\n\n'
const ended = '--\n-- PostgreSQL database dump complete\n--\n'

function freshCluster(): Promise<Cluster> {
  if (!binaries) throw new Error('there is no PostgreSQL here')
  return startCluster(binaries)
}

/** A file whose name says nothing of what is in it. */
async function write(cluster: Cluster, content: Buffer, name = 'file'): Promise<string> {
  const path = join(cluster.directory, name)
  await writeFile(path, content)
  return path
}

describe.skipIf(!binaries || lacking !== '')(`a compressed dump${lacking}`, () => {
  let source: Cluster
  const made: Record<string, Buffer> = {}

  beforeAll(async () => {
    source = await freshCluster()
    await fillSource(source)
    // Large objects lie outside the tables, and make members of a tar dump of their own.
    await withLabConnection(
      source.instance,
      oddDatabase,
      (client) => client.query(`SELECT lo_from_bytea(4711, 'abc')`),
      {
        role: IMPORT_ROLE,
      },
    )
    for (const kind of ['plain', 'custom', 'tar']) {
      const path = await dump(tools.pg_dump?.path ?? '', source, oddDatabase, [`--format=${kind}`])
      made[kind] = await readFile(path)
      await rm(join(path, '..'), { recursive: true })
    }
  })
  afterAll(() => source[Symbol.asyncDispose]())

  const each = (['plain', 'custom', 'tar'] as const).flatMap((kind) =>
    (['gzip', 'zstd'] as const).map((compression) => ({ kind, compression })),
  )

  test.each(each)('is restored whole: $kind in $compression', async ({ kind, compression }) => {
    await using cluster = await freshCluster()
    const packed = compress[compression](made[kind] ?? '')
    const path = await write(cluster, packed)
    const plan = await planOf(cluster, path)
    expect(plan).toMatchObject({ kind, compression, tables: 2, sizeBytes: packed.length })
    const seen: RestoreStep[] = []
    const onProgress = (progress: RestoreStep) => seen.push(progress)
    const result = await importDump(plan, cluster.instance, { ...toolOf(cluster), onProgress })
    expect(result).toMatchObject({ database: kind === 'plain' ? 'file' : oddDatabase, tables: 2 })
    expect(result.notes.some((note) => note.includes('one job'))).toBe(kind === 'custom')
    const [rows] = await cluster.query(
      result.database,
      `SELECT (SELECT count(*)::int FROM "Sales"."or der") AS orders, (SELECT count(*)::int FROM public.item) AS items,
         convert_from(lo_get(4711), 'UTF8') AS object, has_table_privilege('bob', 'public.item', 'SELECT') AS bob`,
    )
    expect(rows).toEqual({ orders: 2000, items: 5000, object: 'abc', bob: true })
    expect(seen.findLast(({ step }) => step === 'restore')).toMatchObject({
      doneBytes: packed.length,
      totalBytes: packed.length,
      ...(kind !== 'plain' && { doneTables: 2, totalTables: 2 }),
    })
  })

  test.each(each)('is read whole before it is restored: $kind in $compression', async ({ kind, compression }) => {
    await using cluster = await freshCluster()
    const packed = compress[compression](made[kind] ?? '')
    let last = { doneBytes: 0, totalBytes: 0 }
    const options = { tools, account: cluster.account, onProgress: (read: typeof last) => (last = read) }
    await inspectDump(await write(cluster, packed), options)
    expect(last).toEqual({ doneBytes: packed.length, totalBytes: packed.length })
    for (const cut of [1, 9, Math.floor(packed.length / 2)]) {
      await expect(planOf(cluster, await write(cluster, packed.subarray(0, -cut)))).rejects.toMatchObject({
        code: 'INVALID',
        message: expect.stringContaining('cut short'),
      })
    }
    const followed = await write(cluster, Buffer.concat([packed, Buffer.from('something')]))
    await expect(planOf(cluster, followed)).rejects.toMatchObject({
      code: 'INVALID',
      message: expect.stringContaining('is damaged'),
    })
  })

  test('is restored from parts that were packed one by one', async () => {
    await using cluster = await freshCluster()
    const custom = made.custom ?? Buffer.alloc(0)
    const parts = [0, 1, 2].map((n) =>
      zstdCompressSync(custom.subarray(n * 5000, n === 2 ? undefined : (n + 1) * 5000)),
    )
    await expect(bringIn(cluster, await write(cluster, Buffer.concat(parts)))).resolves.toMatchObject({ tables: 2 })
  })

  test('is read for the account, which may not read the file', async () => {
    await using cluster = await freshCluster()
    const path = await write(cluster, gzipSync(made.custom ?? ''))
    await chmod(path, 0o600)
    await expect(bringIn(cluster, path)).resolves.toMatchObject({ tables: 2 })
  })

  test.each(['plain', 'custom'])(
    'that was damaged since it was inspected is not taken for a whole one: %s',
    async (kind) => {
      await using cluster = await freshCluster()
      const path = await write(cluster, gzipSync(made[kind] ?? ''))
      const plan = await planOf(cluster, path)
      await using handle = await open(path, 'r+')
      await handle.write(Buffer.from('damage'), 0, 6, Math.floor(plan.sizeBytes / 2))
      await utimes(path, plan.modifiedAt, plan.modifiedAt)
      await expect(importDump(plan, cluster.instance, toolOf(cluster))).rejects.toMatchObject({
        code: 'INVALID',
        message: expect.stringMatching(/is damaged: its gzip data can't be unpacked/),
      })
      const sessions = await cluster.query('postgres', `SELECT 1 FROM pg_stat_activity WHERE usename = 'dblab_import'`)
      expect(sessions).toEqual([])
    },
  )

  test('goes into a cluster beside another, with the roles that both name', async () => {
    await using cluster = await freshCluster()
    const first = await bringIn(cluster, await write(cluster, gzipSync(made.custom ?? '')))
    const second = await bringIn(cluster, await write(cluster, zstdCompressSync(made.plain ?? ''), 'second.sql.zst'))
    expect([first.database, second.database]).toEqual([oddDatabase, 'second'])
    expect(first.notes).toContain('roles made without login: Al ice, bob, carol')
    expect(second.notes.filter((note) => note.startsWith('roles made'))).toEqual([])
    await prepareBase(cluster.instance, { database: first.database })
    for (const database of [first.database, second.database]) {
      const [found] = await cluster.query(
        database,
        `SELECT (SELECT count(*)::int FROM public.item) AS items, has_table_privilege('bob', 'public.item', 'SELECT') AS bob,
           (SELECT count(*)::int FROM pg_user_mappings) AS mappings`,
      )
      expect(found).toEqual({ items: 5000, bob: true, mappings: 0 })
    }
  })

  test('needs the psql that its script does', async () => {
    await using cluster = await freshCluster()
    const path = await write(cluster, gzipSync(`${begun}\\restrict x\nCREATE TABLE a ();\n${ended}\\unrestrict x\n`))
    const old = { psql: { path: '/nowhere/psql', version: '15.2', major: 15 } }
    await expect(inspectDump(path, { tools: old, account: cluster.account })).rejects.toMatchObject({
      code: 'UNAVAILABLE',
      message: expect.stringContaining('\\restrict'),
    })
  })

  test('shows no row of its data when it fails', async () => {
    await using cluster = await freshCluster()
    const script = 'CREATE TABLE a (i int PRIMARY KEY);\nCOPY a FROM stdin;\n4711\n4711\n\\.\n'
    await expect(bringIn(cluster, await write(cluster, gzipSync(script)))).rejects.toSatisfy(
      (error: Error) => error.message.includes('duplicate key') && !error.message.includes('4711'),
    )
  })

  test('is given up on request, while it is read and while it is restored', async () => {
    await using cluster = await freshCluster()
    const reading = new AbortController()
    const path = await write(
      cluster,
      gzipSync(`CREATE TABLE a ();\nSELECT pg_sleep(4242);\n${'-- filler\n'.repeat(300_000)}`),
    )
    const inspecting = inspectDump(path, {
      tools,
      account: cluster.account,
      signal: reading.signal,
      onProgress: () => reading.abort(),
    })
    await expect(inspecting).rejects.toMatchObject({ code: 'ABORTED' })
    const restoring = new AbortController()
    const plan = await planOf(cluster, path)
    const importing = importDump(plan, cluster.instance, { ...toolOf(cluster), signal: restoring.signal })
    const refused = expect(importing).rejects.toMatchObject({ code: 'ABORTED' })
    const sessions = `SELECT 1 FROM pg_stat_activity WHERE usename = 'dblab_import' AND query ~ 'pg_sleep'`
    await expect.poll(() => cluster.query('postgres', sessions), { timeout: 10_000 }).toHaveLength(1)
    restoring.abort()
    await refused
    await expect.poll(() => cluster.query('postgres', sessions)).toEqual([])
  })

  test.each(['gzip', 'zstd'] as const)(
    'of a thousandth of its size does not fill the memory: %s',
    async (compression) => {
      await using cluster = await freshCluster()
      const rows = compress[compression](Buffer.alloc(32 << 20, '0\n'))
      const path = await write(
        cluster,
        Buffer.concat([
          compress[compression](`${begun}CREATE TABLE a (i int);\nCOPY a FROM stdin;\n`),
          ...Array.from({ length: 16 }, () => rows),
          compress[compression](`\\.\n${ended}`),
        ]),
      )
      const before = process.memoryUsage.rss()
      let most = 0
      const timer = setInterval(() => {
        most = Math.max(most, process.memoryUsage.rss())
      }, 5)
      const plan = await planOf(cluster, path)
      clearInterval(timer)
      expect(plan.tables).toBe(1)
      expect(plan.sizeBytes).toBeLessThan(2 << 20)
      expect((most - before) / 2 ** 20).toBeLessThan(256)
    },
  )
})

describe.skipIf(!binaries || lacking !== '')(`what a small file unpacks to without end${lacking}`, () => {
  test('is refused where it is a table of contents', async () => {
    await using cluster = await freshCluster()
    const integer = (value: number): Buffer => {
      const bytes = Buffer.alloc(5)
      bytes.writeUInt32LE(value, 1)
      return bytes
    }
    const noText = Buffer.concat([0, 0, 0].map(integer))
    const header = Buffer.concat([
      Buffer.from('PGDMP\x01\x0e\x00\x04\x08\x01'),
      ...[0, 0, 0, 0, 1, 0, 100, 0].map(integer),
      noText,
    ])
    // One entry, whose first text is as long as a text can be.
    const entry = Buffer.concat([1, 1, 0, 0x7ffffffe].map(integer))
    const zeros = gzipSync(Buffer.alloc(64 << 20))
    const parts = [gzipSync(Buffer.concat([header, entry])), ...Array.from({ length: 20 }, () => zeros)]
    await expect(planOf(cluster, await write(cluster, Buffer.concat(parts)))).rejects.toMatchObject({
      code: 'INVALID',
      message: expect.stringContaining('unpacks to more than 1 GiB'),
    })
  })

  test('is refused where it is names and settings', async () => {
    await using cluster = await freshCluster()
    const settings = Array.from({ length: 1000 }, () => `ALTER DATABASE a SET b.c TO '${'x'.repeat(16_000)}';\n`).join(
      '',
    )
    const parts = [`${begun}CREATE TABLE a ();\n`, ...Array.from({ length: 5 }, () => settings), ended].map((part) =>
      gzipSync(part),
    )
    await expect(planOf(cluster, await write(cluster, Buffer.concat(parts)))).rejects.toMatchObject({
      code: 'INVALID',
      message: expect.stringContaining('more roles, databases and settings'),
    })
  })
})

describe.skipIf(!binaries || lacking !== '')(`two dumps${lacking}`, () => {
  test('go into one cluster, one after the other, each its own database with the same roles', async () => {
    await using cluster = await freshCluster()
    const script = (table: string) =>
      `${begun}CREATE EXTENSION citext;\nCREATE TABLE ${table} (i int);\nALTER TABLE ${table} OWNER TO alice;\nCOPY ${table} FROM stdin;\n1\n\\.\n${ended}`
    const shop = await write(cluster, gzipSync(script('orders')), 'shop.sql.gz')
    const blog = await write(cluster, zstdCompressSync(script('posts')), 'blog.sql.zst')
    await expect(bringIn(cluster, shop)).resolves.toMatchObject({
      database: 'shop',
      notes: ['roles made without login: alice'],
    })
    await expect(bringIn(cluster, blog)).resolves.toMatchObject({ database: 'blog', tables: 1, notes: [] })
    expect(await cluster.query('shop', 'SELECT i FROM public.orders')).toEqual([{ i: 1 }])
    expect(await cluster.query('blog', 'SELECT i FROM public.posts')).toEqual([{ i: 1 }])
    await expect(bringIn(cluster, blog)).rejects.toMatchObject({ code: 'ALREADY_EXISTS' })
    expect(await cluster.query('blog', 'SELECT i FROM public.posts')).toEqual([{ i: 1 }])
  })
})
