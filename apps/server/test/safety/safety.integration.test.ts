import { once } from 'node:events'
import { cp, mkdtemp, readFile, rename, rm, symlink, utimes, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import type { Clone, Instance, Snapshot } from '@dblab/models'
import { isRoot } from '@dblab/provision/testbed'
import { describe, expect, test } from 'vitest'
import { createClone, LOGIN, urlOf } from '../support/clones.ts'
import { eventually, TestLab } from '../support/lab.ts'
import { leftovers } from '../support/leftovers.ts'
import { query } from '../support/sql.ts'

async function create(
  lab: TestLab,
  fields: Record<string, unknown> = {},
  username = 'alice',
): Promise<{ clone: Clone; url: string }> {
  const clone = await createClone(lab, { db: { ...LOGIN, username }, ...fields })
  expect(clone.status.code, clone.status.message).toBe('OK')
  return { clone, url: urlOf(clone) }
}

async function status(lab: TestLab): Promise<Instance> {
  return (await (await lab.fetch('/status')).json()) as Instance
}

describe('what must never cost anyone their data', { timeout: 120_000 }, () => {
  test('an older catalogue that is put back removes nothing, and is told from the last one', async () => {
    await using lab = await TestLab.make({ driver: 'copy' })
    await lab.start()
    await lab.interrupt()
    const file = join(lab.directory, '.dblab/catalogue.db')
    const older = await readFile(file)
    await lab.start()
    const { url } = await create(lab, { id: 'precious', protected: true })
    await lab.interrupt()
    const newest = await readFile(file)
    const before = await leftovers(lab.directory)
    await writeFile(file, older)
    await lab.start()
    const seen = await status(lab)
    expect(seen.warnings).toMatchObject([{ code: 'CATALOGUE_LOST', message: expect.stringContaining('older copy') }])
    expect(await query(url, 'SELECT 1 AS one')).toEqual([{ one: 1 }])
    await lab.interrupt()
    expect(await leftovers(lab.directory)).toEqual(before)
    await writeFile(file, newest)
    await lab.start()
    expect((await status(lab)).clones.map(({ id }) => id)).toEqual(['precious'])
  })

  test('what the catalogue has forgotten is left alone, and told of', async () => {
    await using lab = await TestLab.make({ driver: 'copy' })
    await lab.start()
    const { clone, url } = await create(lab, { id: 'forgotten' })
    await lab.interrupt()
    const db = new DatabaseSync(join(lab.directory, '.dblab/catalogue.db'))
    // Without what says that it was changed, as one of a server that did not write that yet.
    db.exec(`DELETE FROM clones; DELETE FROM volumes WHERE role = 'clone'; DELETE FROM meta WHERE key = 'contents'`)
    db.close()
    await rm(join(lab.directory, '.dblab/catalogue.db-seal'))
    await lab.start()
    expect((await status(lab)).warnings.map(({ code }) => code)).toEqual(['RECONCILE_FAILED', 'RECONCILE_FAILED'])
    expect((await lab.fetch(`/clone/${clone.id}`)).status).toBe(404)
    expect(await query(url, 'SELECT 1 AS one')).toEqual([{ one: 1 }])
  })

  test('a copy of the data directory is not taken for the lab', async () => {
    await using lab = await TestLab.make({ driver: 'copy' })
    await lab.start()
    const { url } = await create(lab, { id: 'precious' })
    const elsewhere = await mkdtemp(join(tmpdir(), 'dblab-copy-'))
    await cp(join(lab.directory, '.dblab'), join(elsewhere, '.dblab'), {
      recursive: true,
      filter: (path) => !/pool|postgres$/.test(path),
    })
    const env = { DBLAB_DATA_DIR: join(elsewhere, '.dblab') }
    for (const args of [['start'], ['stop'], ['destroy', '--yes']]) {
      const { code, stderr } = await lab.run(args, { env })
      expect({ code, stderr }).toEqual({ code: 1, stderr: expect.stringContaining('was copied or moved from') })
    }
    expect(await query(url, 'SELECT 1 AS one')).toEqual([{ one: 1 }])
    await rm(elsewhere, { recursive: true })
  })

  test.skipIf(!isRoot)(
    'a pool that is missing is not made anew (needs root: the pool is a mounted image)',
    async () => {
      await using lab = await TestLab.make({ driver: 'btrfs' })
      await lab.start()
      const { clone, url } = await create(lab, { id: 'precious' })
      await query(url, 'CREATE TABLE mine AS SELECT 42 AS answer')
      await lab.run(['stop'])
      const image = join(lab.directory, '.dblab/pool.img')
      await rename(image, `${image}.away`)
      expect(await lab.run(['start'])).toMatchObject({
        code: 1,
        stderr: expect.stringContaining('pool.img is missing'),
      })
      await rename(`${image}.away`, image)
      await lab.start()
      await eventually('it answers', () =>
        query(url, 'SELECT answer FROM mine').then(
          (rows) => rows[0]?.answer === 42,
          () => false,
        ),
      )
      expect(clone.id).toBe('precious')
    },
  )

  test.skipIf(!isRoot)(
    'a data directory behind a symbolic link works each time (needs root: the pool is a mounted image)',
    async () => {
      const real = await mkdtemp(join(tmpdir(), 'dblab-real-'))
      const lab = await TestLab.make({ driver: 'btrfs' })
      await symlink(real, join(lab.directory, '.dblab'))
      await lab.start()
      await lab.interrupt()
      await lab.start()
      expect((await lab.run(['destroy', '--yes'])).code).toBe(0)
      expect(await leftovers(lab.directory)).toMatchObject({ servers: [], mounts: [], loops: [] })
      await rm(lab.directory, { recursive: true })
    },
  )

  test('a clone whose port a stranger has is tried again, and comes back with its data', async () => {
    await using lab = await TestLab.make({ driver: 'copy' })
    await lab.start()
    const { clone, url } = await create(lab, { id: 'waiting' })
    await query(url, 'CREATE TABLE mine AS SELECT 42 AS answer')
    await lab.run(['stop'])
    const stranger = createServer().listen(Number(clone.db.port), '127.0.0.1')
    await once(stranger, 'listening')
    await lab.start()
    await eventually('it says why it is down', async () => {
      const [seen] = (await status(lab)).clones
      return seen?.status.code === 'FATAL' && /its data is as it was.*port/is.test(seen.status.message)
    })
    stranger.close()
    await eventually(
      'it answers',
      () =>
        query(url, 'SELECT answer FROM mine').then(
          (rows) => rows[0]?.answer === 42,
          () => false,
        ),
      60_000,
    )
    // It takes connections a moment before the server has seen that it does.
    await eventually('it is OK', async () => (await status(lab)).clones[0]?.status.code === 'OK')
  })

  test('what a user did to the database does not keep the clone from coming back', async () => {
    await using lab = await TestLab.make({ driver: 'copy' })
    await lab.start()
    const { url } = await create(lab, { id: 'renamed' })
    const admin = new URL(url)
    admin.pathname = '/postgres'
    await query(admin.href, 'ALTER DATABASE shop RENAME TO market')
    await query(admin.href, `ALTER DATABASE market SET idle_session_timeout = '1ms'`)
    await lab.run(['stop'])
    await lab.start()
    await eventually('it is OK', async () => (await status(lab)).clones[0]?.status.code === 'OK')
    const taken = await lab.fetch('/snapshot', { method: 'POST', json: { cloneId: 'renamed' } })
    expect(await taken.json()).toMatchObject({ database: 'market', databases: ['market', 'postgres'] })
  })
})

describe('who has what', { timeout: 120_000 }, () => {
  test('a snapshot of a clone lifts nothing that its user made to the rights of the lab', async () => {
    await using lab = await TestLab.make({ driver: 'copy' })
    await lab.start()
    const { url } = await create(lab, { id: 'attacker' })
    await query(url, 'CREATE EXTENSION hstore SCHEMA public')
    await query(
      url,
      `CREATE FUNCTION public.evil(command text) RETURNS text LANGUAGE plpgsql SECURITY DEFINER AS $$
       DECLARE result text; BEGIN
         CREATE TEMP TABLE taken (line text);
         EXECUTE format('COPY taken FROM PROGRAM %L', command);
         SELECT string_agg(line, ' ') INTO result FROM taken; RETURN result;
       END $$`,
    )
    await query(url, 'ALTER EXTENSION hstore ADD FUNCTION public.evil(text)')
    const taken = await lab.fetch('/snapshot', { method: 'POST', json: { cloneId: 'attacker', id: 'poisoned' } })
    expect(((await taken.json()) as Snapshot).id).toBe('poisoned')
    const other = await create(lab, { id: 'victim', snapshot: 'poisoned' }, 'mallory')
    await expect(query(other.url, `SELECT public.evil('id')`)).rejects.toMatchObject({ code: '42501' })
    const owned = `SELECT count(*)::int AS n FROM pg_proc p JOIN pg_roles r ON r.oid = p.proowner
      WHERE p.proname = 'evil' AND r.rolsuper`
    expect(await query(other.url, owned)).toEqual([{ n: 0 }])
  })

  test('an old dump that is imported into a lab with the sample is what a clone gets', async () => {
    await using lab = await TestLab.make({ driver: 'copy' })
    await lab.start()
    await lab.interrupt()
    const dump = join(lab.directory, 'old.sql')
    await writeFile(dump, 'CREATE TABLE old (a int);\nINSERT INTO old VALUES (1);\n')
    await utimes(dump, new Date('2020-01-01'), new Date('2020-01-01'))
    await lab.start(['--import', dump])
    const { clone, url } = await create(lab)
    expect(clone.db.dbName).toBe('old')
    expect(await query(url, 'SELECT a FROM old')).toEqual([{ a: 1 }])
  })

  test('a misspelt filter is refused, and does not list everything', async () => {
    await using lab = await TestLab.make({ driver: 'copy' })
    await lab.start()
    const answer = await lab.fetch('/clones?usernam=nobody')
    expect([answer.status, await answer.json()]).toEqual([
      400,
      expect.objectContaining({
        code: 'INVALID_REQUEST',
        detail: expect.stringContaining('project, username, status'),
      }),
    ])
  })
})
