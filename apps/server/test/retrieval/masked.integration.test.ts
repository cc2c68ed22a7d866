import { readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Client } from 'pg'
import { describe, expect, test } from 'vitest'
import { parse, stringify } from 'yaml'
import { eventually, type TestLab } from '../support/lab.ts'
import { LiveSource } from './live-source.ts'
import { canary, search } from './masking/canaries.ts'
import { done, ended, labOf, lacking, needSource } from './world.ts'

const NAMES = ['heap', 'toast', 'index', 'matview', 'statistics', 'large object', 'updated', 'deleted'] as const
const CANARIES = NAMES.map(canary)
const [heap = '', toast = '', index = '', matview = '', statistics = '', largeObject = '', updated = '', deleted = ''] =
  CANARIES

/** A source with a text that is nowhere else in each place where Postgres keeps values. */
async function source(): Promise<LiveSource> {
  const live = await LiveSource.make(needSource())
  await live.query('postgres', 'ALTER ROLE dump REPLICATION', 'CREATE DATABASE shop')
  await live.query(
    'shop',
    'CREATE TABLE person (id int PRIMARY KEY, email text, story text, code text, city text)',
    'ALTER TABLE person ALTER story SET STORAGE EXTERNAL',
    'CREATE INDEX ON person (code)',
    `INSERT INTO person SELECT i, 'p' || i, md5(i::text), 'c' || i, 'town' FROM generate_series(1, 500) i`,
    // Often enough to be among the most common values.
    `INSERT INTO person SELECT 1000 + i, '${statistics}', NULL, NULL, 'town' FROM generate_series(1, 200) i`,
    `INSERT INTO person VALUES (2000, '${heap}', repeat('${toast}', 400), '${index}', 'town'), (2001, '${updated}', NULL, NULL, 'town'),
       (2002, '${matview}', NULL, NULL, 'town'), (2003, '${deleted}', NULL, NULL, 'town')`,
    `CREATE MATERIALIZED VIEW people AS SELECT id, email FROM person`,
    `UPDATE person SET email = 'another' WHERE id = 2001`,
    'DELETE FROM person WHERE id = 2003',
    `SELECT lo_from_bytea(4711, '${largeObject}')`,
    'GRANT SELECT ON LARGE OBJECT 4711 TO dump',
    'ANALYZE',
    'CHECKPOINT',
  )
  return live
}

const RULES = [
  { table: 'public.person', column: 'email', fake: 'email' },
  { table: 'public.person', column: 'story', null: true },
  { table: 'public.person', column: 'code', hash: true },
]

function masked(source: Record<string, unknown>, masking: Record<string, unknown> = {}): Promise<TestLab> {
  const all = { secretEnv: 'MASKING_SECRET', rules: RULES, largeObjects: 'remove', ...masking }
  return labOf(
    { sources: [{ passwordEnv: 'DUMP_PASSWORD', ...source }], masking: all, attempts: 1 },
    {},
    {
      MASKING_SECRET: 'a secret of the tests, of 32 characters at least',
    },
  )
}

const ways = ['logical', 'physical', 'followed'] as const

/** The way of the data into the lab. */
function by(way: (typeof ways)[number], live: LiveSource): Record<string, unknown> {
  return {
    kind: way === 'logical' ? way : 'physical',
    url: live.url('shop'),
    ...(way === 'followed' && { follow: true }),
  }
}

describe.skipIf(lacking !== '')(`data that is to be masked${lacking}`, () => {
  test.each(ways)('is nowhere in a clone’s data directory, nor in its snapshot, when it came in as %s', async (way) => {
    await using live = await source()
    expect([...(await search(live.dataDir, CANARIES)).keys()].sort()).toEqual([...CANARIES].sort())
    await using lab = await masked(by(way, live))
    await lab.start()
    const run = await done(lab)
    await using client = lab.client()
    const [snapshot] = await client.snapshots.list()
    expect(snapshot?.maskVersion).toMatch(/^[0-9a-f]{16}$/)
    expect(run.log.map(({ message }) => message)).toContainEqual(expect.stringContaining(snapshot?.maskVersion ?? ''))
    await using clone = await client.clones.create({})
    const session = new Client({ connectionString: clone.connectionString() })
    await session.connect()
    const { rows } = await session.query(
      `SELECT count(*)::int AS all, count(email)::int AS emails, count(story)::int AS stories,
        count(*) FILTER (WHERE email ~ '@')::int AS faked, count(*) FILTER (WHERE city = 'town')::int AS towns FROM person`,
    )
    await session.end()
    expect(rows).toEqual([{ all: 703, emails: 703, stories: 0, faked: 703, towns: 703 }])
    expect(clone.status.code).toBe('OK')
    const pool = join(lab.directory, '.dblab/pool')
    for (const tree of await treesOf(pool, way)) expect([tree, [...(await search(tree, CANARIES))]]).toEqual([tree, []])
  })

  test.each([
    ['a statement fails', { files: 'SELECT 1; SELECT 1 / 0; SELECT 2' }, 'FAILED'],
    ['a file ends in the middle', { files: "UPDATE person SET email = 'x" }, 'FAILED'],
    ['a rule can not work', { rules: [{ table: 'public.person', column: 'id', null: true }] }, 'INVALID'],
    ['a rule is about nothing', { rules: [{ table: 'public.person', column: 'mail', null: true }] }, 'INVALID'],
    ['it takes too long', { files: 'SELECT pg_sleep(60)', timeoutSeconds: 1 }, 'TIMEOUT'],
    ['a column looks personal that no rule covers', { rules: [], largeObjects: 'keep' }, 'INVALID'],
    ['there is no secret', { secretEnv: 'NOT_THERE' }, 'INVALID'],
  ] as const)(
    'is never seen where %s',
    async (_what, { files, ...masking }: { files?: string; [key: string]: unknown }, code) => {
      await using live = await source()
      await live.query('shop', `UPDATE person SET email = 'somebody' || id || '@nowhere.org'`)
      await using lab = await masked({ kind: 'logical', url: live.url('shop') }, masking)
      if (files !== undefined) {
        await writeFile(join(lab.directory, 'mask.sql'), files)
        await maskByFile(lab)
      }
      await lab.start()
      const { outcome, error, snapshot } = await ended(lab)
      expect([outcome, error?.code, snapshot]).toEqual(['FAILED', code, ''])
      expect(error?.hint).not.toBe('')
      await using client = lab.client()
      expect(await client.snapshots.list()).toEqual([])
      expect(await readdir(join(lab.directory, '.dblab/pool/volumes'))).toEqual([])
      expect(lab.output).not.toContain('nowhere.org')
      expect(JSON.stringify(await client.retrieval.get())).not.toContain('nowhere.org')
      await expect(client.snapshots.create()).rejects.toMatchObject({ code: 'SNAPSHOT_NOT_FOUND' })
    },
  )

  test('is never seen when the server is killed while it masks, and the next run masks', async () => {
    await using live = await source()
    await using lab = await masked({ kind: 'logical', url: live.url('shop') })
    await writeFile(join(lab.directory, 'mask.sql'), 'SELECT pg_sleep(6)')
    await maskByFile(lab)
    await lab.start()
    await using client = lab.client()
    await eventually('it masks', async () => (await client.retrieval.get()).current?.progress.step === 'MASK', 60_000)
    expect(await client.snapshots.list()).toEqual([])
    await lab.kill()
    await writeFile(join(lab.directory, 'mask.sql'), 'SELECT 1')
    await lab.start()
    expect(await client.snapshots.list()).toEqual([])
    await done(lab)
    expect((await client.snapshots.list())[0]?.maskVersion).not.toBe('')
  })
})

/** Of every clone and of every snapshot that can be cloned: a standby is as its source, and nobody's to clone. */
async function treesOf(pool: string, way: (typeof ways)[number]): Promise<string[]> {
  const names = async (kind: string) => (await readdir(join(pool, kind))).map((name) => join(pool, kind, name))
  const volumes = await names('volumes')
  const snapshots = (await names('snapshots').catch(() => [])).filter((path) => !path.includes('@standby-'))
  if (way !== 'followed') return [...volumes, ...snapshots]
  const clones: string[] = []
  for (const path of volumes) {
    // One that is just being removed has none.
    const files = await readdir(join(path, 'data')).catch(() => ['standby.signal'])
    if (!files.includes('standby.signal')) clones.push(path)
  }
  return [...clones, ...snapshots]
}

/** The lab's directory is known once its configuration is written. */
async function maskByFile(lab: TestLab): Promise<void> {
  const file = join(lab.directory, 'dblab.yaml')
  const config = parse(await readFile(file, 'utf8'))
  config.retrieval.masking.files = [{ path: join(lab.directory, 'mask.sql') }]
  await writeFile(file, stringify(config))
}
