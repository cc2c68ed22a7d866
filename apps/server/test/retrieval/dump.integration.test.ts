import { chmod, open, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { gzipSync, zstdCompressSync } from 'node:zlib'
import { type Account, findAccount, findClientTools, run } from '@dblab/provision'
import { isRoot } from '@dblab/provision/testbed'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { databaseNameFrom, inspectDump } from '../../src/retrieval/dump/dump.ts'
import { binariesUnderTest, type Cluster, openDirectory, startCluster } from './cluster.ts'
import { dump, fillSource, oddDatabase } from './dumps.ts'

const tools = await findClientTools()
const account: Account = await findAccount()
const psql = { psql: { path: '/nowhere/psql', version: '18.0', major: 18 } }
let directory: string

beforeEach(async () => {
  directory = await openDirectory()
})
afterEach(() => rm(directory, { recursive: true }))

async function file(content: string | Buffer, name = 'file.sql'): Promise<string> {
  const path = join(directory, name)
  await writeFile(path, content)
  return path
}

const begun = '--\n-- PostgreSQL database dump\n--\n\n'
const ended = '--\n-- PostgreSQL database dump complete\n--\n'

describe('a plan of a plain dump', () => {
  test('says what it brings and needs', async () => {
    const path = await file(
      `${begun}\\restrict x\n-- Dumped from database version 15.2\n-- Dumped by pg_dump version 16.1\n-- Started on 2020-01-02 03:04:05 UTC\n` +
        `SET client_encoding = 'UTF8';\nCREATE EXTENSION citext;\nCREATE TABLE a ();\nALTER TABLE a OWNER TO alice;\n` +
        `COPY a FROM stdin;\nGRANT ALL ON a TO mallory;\n\\.\nGRANT ALL ON a TO bob;\n${ended}\\unrestrict x\n`,
      'Ünsere Shop-Daten.2024.sql',
    )
    const plan = await inspectDump(path, { tools: psql, account })
    expect(plan).toMatchObject({
      kind: 'plain',
      database: 'unsere_shop_daten',
      createsDatabase: false,
      readable: true,
      tables: 1,
      serverVersion: '15.2',
      toolVersion: '16.1',
      dataStateAt: new Date('2020-01-02T03:04:05Z'),
      tool: psql.psql,
    })
    expect([...plan.facts.owners, ...plan.facts.otherRoles]).toEqual(['alice', 'bob'])
    expect([...plan.facts.extensions]).toEqual(['citext'])
  })

  test('takes the name of the database that the dump makes', async () => {
    const path = await file(
      `${begun}CREATE DATABASE "My Shop";\n\\connect -reuse-previous=on "dbname='My Shop'"\nCREATE TABLE a ();\n${ended}`,
    )
    await expect(inspectDump(path, { tools: psql, account })).resolves.toMatchObject({
      database: 'My Shop',
      createsDatabase: true,
    })
  })

  test('tells how far it has read', async () => {
    const path = await file(`CREATE TABLE a ();\n${'-- filler\n'.repeat(300_000)}`)
    const seen: number[] = []
    await inspectDump(path, { tools: psql, account, onProgress: ({ doneBytes }) => seen.push(doneBytes) })
    expect(seen.length).toBeGreaterThan(1)
    expect(seen.at(-1)).toBe(3_000_019)
  })

  test('is given up on request', async () => {
    const path = await file(`CREATE TABLE a ();\n${'-- filler\n'.repeat(300_000)}`)
    const controller = new AbortController()
    const reading = inspectDump(path, {
      tools: psql,
      account,
      signal: controller.signal,
      onProgress: () => controller.abort(),
    })
    await expect(reading).rejects.toMatchObject({ code: 'ABORTED' })
  })
})

describe('what can not be restored is refused before anything starts', () => {
  test.each<[string, string | Buffer, RegExp]>([
    ['an empty file', '', /is empty/],
    ['a file of binary data', Buffer.from([1, 2, 3, 0, 5]), /not a PostgreSQL dump/],
    ['a text that is no script', 'Dear reader,\nthis is no dump; honestly.\n', /does not begin with a statement/],
    ['a script without a statement', '-- nothing\n', /holds no statement/],
    ['a single byte', 'x', /holds no statement/],
    ['an LZ4 file', Buffer.from('04224d186440a7', 'hex'), /compressed \(LZ4\), which the lab does not unpack/],
    ['what was compressed twice', zstdCompressSync(gzipSync('CREATE TABLE a ();')), /compressed twice: gzip in zstd/],
    ['an xz file in a gzip file', gzipSync(Buffer.from('fd377a585a000004', 'hex')), /compressed \(xz\)/],
    ['nothing, compressed', gzipSync(''), /is empty/],
    ['a compressed text that is no script', gzipSync('Dear reader,\n;\n'), /does not begin with a statement/],
    ['a compressed dump cut short', gzipSync(`${begun}CREATE TABLE a ();\n`), /it does not end as pg_dump ends a dump/],
    [
      'a compressed file cut short',
      gzipSync(`${begun}CREATE TABLE a ();\n${ended}`).subarray(0, -9),
      /cut short: its gzip data do not come to an end/,
    ],
    ['a compressed header alone', zstdCompressSync(Buffer.from('PGDMP\x01\x0e')), /header is damaged/],
    ['text in UTF-16', Buffer.from('\uFEFFCREATE TABLE a ();', 'utf16le'), /UTF-16/],
    ["MySQL's", '-- MySQL dump 10.13\nCREATE TABLE a (i int);\n', /comes from MySQL/],
    ["SQLite's", 'PRAGMA foreign_keys=OFF;\nBEGIN TRANSACTION;\n', /comes from SQLite/],
    ['a dump cut short between statements', `${begun}CREATE TABLE a ();\n`, /cut short/],
    [
      'a dump cut short in data',
      'CREATE TABLE a (i int);\nCOPY a FROM stdin;\n1\n2',
      /cut short: it ends in COPY data/,
    ],
    [
      'a dump cut short in a text',
      `CREATE TABLE a ();\nINSERT INTO a VALUES ('abc`,
      /cut short: it ends in a quoted text/,
    ],
    ["pg_dumpall's", '-- PostgreSQL database cluster dump\nCREATE ROLE a;\n\\connect shop\n', /several databases/],
    ['several databases', 'CREATE DATABASE a;\n\\connect a\nCREATE DATABASE b;\n\\connect b\n', /several databases/],
    ['a dump that makes postgres', 'CREATE DATABASE postgres;\n\\connect postgres\n', /makes the database postgres/],
    [
      'a dump that drops its database',
      'DROP DATABASE shop;\nCREATE DATABASE shop;\n\\connect shop\n',
      /drops the database shop/,
    ],
    ['a header alone', Buffer.from('PGDMP\x01\x0e'), /header is damaged/],
  ])('%s', async (_what, content, message) => {
    const path = await file(content)
    const reading = inspectDump(path, { tools: { ...psql, pg_restore: psql.psql }, account })
    await expect(reading).rejects.toMatchObject({
      code: 'INVALID',
      message: expect.stringMatching(message),
      hint: expect.any(String),
    })
  })

  test('a path with nothing there', async () => {
    await expect(inspectDump(join(directory, 'none'), { tools: {}, account })).rejects.toMatchObject({
      code: 'NOT_FOUND',
    })
    await symlink(join(directory, 'none'), join(directory, 'link'))
    await expect(inspectDump(join(directory, 'link'), { tools: {}, account })).rejects.toMatchObject({
      code: 'NOT_FOUND',
    })
  })

  test('a directory without a table of contents', async () => {
    const reading = inspectDump(directory, { tools: {}, account })
    await expect(reading).rejects.toMatchObject({ code: 'INVALID', message: expect.stringContaining('toc.dat') })
  })

  test('a dump for which there is no client program', async () => {
    const path = await file('CREATE TABLE a ();\n')
    await expect(inspectDump(path, { tools: {}, account })).rejects.toMatchObject({
      code: 'UNAVAILABLE',
      hint: expect.stringContaining('postgresql-client'),
    })
  })

  test('a script for which psql is too old', async () => {
    const path = await file('\\restrict x\nCREATE TABLE a ();\n')
    const old = { psql: { path: '/nowhere/psql', version: '15.2', major: 15 } }
    await expect(inspectDump(path, { tools: old, account })).rejects.toMatchObject({ code: 'UNAVAILABLE' })
  })
})

describe('the name that a file gives its database', () => {
  test.each([
    ['/a/Pagila.sql', 'pagila'],
    ['/a/pagila.sql.gz', 'pagila'],
    ['/a/pagila.dump.zst', 'pagila'],
    ['/a/shop-2024.backup.dump', 'shop_2024'],
    ['/a/2024.sql', 'db_2024'],
    ['/a/.sql', 'sql'],
    ['/a/日本.sql', 'db'],
    ['/a/postgres.dump', 'postgres_dump'],
    [`/a/${'x'.repeat(100)}.sql`, 'x'.repeat(63)],
  ])('%s', (path, name) => {
    expect(databaseNameFrom(path)).toBe(name)
  })
})

describe.skipIf(!tools.pg_restore || !tools.pg_dump)('an archive', () => {
  async function withSource(work: (cluster: Cluster, pgDump: string) => Promise<void>): Promise<void> {
    const pgDump = tools.pg_dump
    const binaries = (await binariesUnderTest()).find(({ major }) => major <= (pgDump?.major ?? 0))
    if (!binaries || !pgDump) throw new Error('there is no server that this pg_dump can read')
    await using cluster = await startCluster(binaries)
    await fillSource(cluster)
    await work(cluster, pgDump.path)
  }

  async function patch(path: string, offset: number, byte: number): Promise<void> {
    await using handle = await open(path, 'r+')
    await handle.write(Buffer.from([byte]), 0, 1, offset)
  }

  test('of each kind is recognised, and its plan names tables, roles and extensions', async () => {
    await withSource(async (cluster, pgDump) => {
      for (const kind of ['custom', 'directory', 'tar'] as const) {
        const path = await dump(pgDump, cluster, oddDatabase, [`--format=${kind}`])
        const plan = await inspectDump(path, { tools, account })
        expect(plan).toMatchObject({ kind, database: oddDatabase, tables: 2, createsDatabase: false })
        expect([...plan.facts.extensions].sort()).toEqual(['citext', 'postgres_fdw'])
        expect([...plan.facts.owners, ...plan.facts.otherRoles]).toEqual(
          expect.arrayContaining(['Al ice', 'bob', 'carol']),
        )
        await rm(join(path, '..'), { recursive: true })
      }
    })
  })

  test('of a newer format is refused, with the package that reads it', async () => {
    await withSource(async (cluster, pgDump) => {
      const path = await dump(pgDump, cluster, oddDatabase, ['--format=custom'])
      // The third byte of the version is the minor one.
      await patch(path, 6, 99)
      await expect(inspectDump(path, { tools, account })).rejects.toMatchObject({
        code: 'UNAVAILABLE',
        message: expect.stringContaining('1.99'),
        hint: expect.stringContaining('postgresql-client-'),
      })
      await rm(join(path, '..'), { recursive: true })
    })
  })

  test('whose table of contents is damaged is refused', async () => {
    await withSource(async (cluster, pgDump) => {
      const path = await dump(pgDump, cluster, oddDatabase, ['--format=custom'])
      for (let offset = 200; offset < 400; offset++) await patch(path, offset, 0xff)
      await expect(inspectDump(path, { tools, account })).rejects.toMatchObject({
        code: 'INVALID',
        message: expect.stringContaining("can't be read by pg_restore"),
      })
      await rm(join(path, '..'), { recursive: true })
    })
  })

  test.skipIf(!isRoot)('in a directory that the account can not read is refused (needs root)', async () => {
    await withSource(async (cluster, pgDump) => {
      const path = await dump(pgDump, cluster, oddDatabase, ['--format=directory'])
      await chmod(path, 0o700)
      await expect(inspectDump(path, { tools, account })).rejects.toMatchObject({
        code: 'INVALID',
        message: expect.stringContaining("can't read the directory"),
      })
      await rm(join(path, '..'), { recursive: true })
    })
  })

  test('that was packed with tar by hand is told from one of pg_dump, compressed or not', async () => {
    await withSource(async (cluster, pgDump) => {
      const path = await dump(pgDump, cluster, oddDatabase, ['--format=directory'])
      const all = await readdir(path)
      const packings = [
        ['-C', join(path, '..'), 'dump'],
        ['-C', path, '.'],
        ['-C', path, ...all.sort()],
      ]
      for (const [index, packing] of packings.entries()) {
        const tar = join(directory, `${index}.tar`)
        await run(['tar', '-cf', tar, ...packing])
        const bytes = await readFile(tar)
        for (const content of [bytes, gzipSync(bytes), zstdCompressSync(bytes)]) {
          const packed = await file(content, `${index}`)
          await expect(inspectDump(packed, { tools, account })).rejects.toMatchObject({
            code: 'INVALID',
            message: expect.stringContaining('is a tar archive of a directory dump'),
            hint: expect.stringContaining(`tar -xf ${packed}`),
          })
        }
      }
      await rm(join(path, '..'), { recursive: true })
    })
  })

  test('is told from a tar archive of anything else', async () => {
    await file('CREATE TABLE a ();', 'a.sql')
    await run(['tar', '-czf', join(directory, 'a.tar.gz'), '-C', directory, 'a.sql'])
    const reading = inspectDump(join(directory, 'a.tar.gz'), { tools, account })
    await expect(reading).rejects.toMatchObject({
      code: 'INVALID',
      message: expect.stringContaining('not one that pg_dump --format=tar made'),
    })
  })
})
