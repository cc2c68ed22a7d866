import { chown, mkdir, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { isRoot } from '@dblab/provision/testbed'
import { Client } from 'pg'
import { describe, expect, test } from 'vitest'
import { eventually } from '../support/lab.ts'
import { LiveSource } from './live-source.ts'
import { FILL, load } from './load.ts'
import { Standby } from './standby.ts'
import { checksums, done, ended, inClone, labOf, lacking, needSource, physical } from './world.ts'

/** A source with two databases, whose role may copy it. */
async function source(settings: Record<string, string> = {}): Promise<LiveSource> {
  const made = await LiveSource.make(needSource(), { settings: { wal_keep_size: '1GB', ...settings } })
  await made.query('postgres', 'ALTER ROLE dump REPLICATION')
  await made.query('postgres', 'CREATE DATABASE shop')
  await made.query('postgres', 'CREATE DATABASE stock')
  for (const database of ['shop', 'stock']) await made.query(database, ...FILL)
  return made
}

describe.skipIf(lacking !== '')(`a physical source${lacking}`, () => {
  test('gives clones all of its databases as they were at one point of its log, while it is written to', async () => {
    await using live = await source({ datestyle: 'sql, dmy' })
    // Of the role that copies, and nobody else's.
    await live.query('postgres', `ALTER ROLE dump SET search_path = ''`, `ALTER ROLE dump SET timezone = 'Asia/Tokyo'`)
    await using standby = await Standby.make(live)
    await using lab = await labOf({ sources: [physical(live.url('shop'))] })
    {
      await using _load = load(live, 'shop')
      await lab.start()
      await done(lab)
    }
    await using client = lab.client()
    const [run] = (await client.retrieval.get()).runs
    const [, lsn, at] = /recovered to log (\S+) on timeline \d+, as of (\S+)/.exec(JSON.stringify(run?.log)) ?? []
    await standby.replayTo(lsn ?? '')
    const [snapshot] = await client.snapshots.list()
    expect(snapshot).toMatchObject({
      database: 'shop',
      databases: ['postgres', 'shop', 'stock'],
      postgresVersion: live.binaries.major,
    })
    expect(at).toContain(snapshot?.timestamp)
    for (const database of ['shop', 'stock']) {
      const reference = standby.client(database)
      await reference.connect()
      const wanted = await checksums(reference)
      await reference.end()
      expect(wanted).toHaveProperty('public.entries')
      expect(await inClone(lab, database, checksums)).toEqual(wanted)
    }
    const { rows: settings } = await inClone(lab, 'shop', (clone) =>
      clone.query(
        `SELECT name, setting FROM pg_settings WHERE name IN ('DateStyle', 'search_path', 'TimeZone') ORDER BY name COLLATE "C"`,
      ),
    )
    expect(settings).toEqual([
      { name: 'DateStyle', setting: 'SQL, DMY' },
      { name: 'TimeZone', setting: expect.not.stringContaining('Tokyo') },
      { name: 'search_path', setting: '"$user", public' },
    ])
    expect(await live.sessions()).toEqual([])
    expect(await live.query('postgres', 'SELECT slot_name FROM pg_replication_slots')).toEqual([])
    await expect(client.clones.create({ db: { username: 'postgres' } })).rejects.toMatchObject({
      code: 'USERNAME_NOT_ALLOWED',
    })
  })

  test('leaves what reaches out behind in closed databases and in templates too', async () => {
    await using live = await source()
    const connected = [
      'CREATE EXTENSION postgres_fdw',
      'CREATE EXTENSION file_fdw',
      `CREATE SERVER far FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '127.0.0.1')`,
      `CREATE USER MAPPING FOR PUBLIC SERVER far OPTIONS (user 'app', password 'secret')`,
      'CREATE SERVER files FOREIGN DATA WRAPPER file_fdw',
      `CREATE FOREIGN TABLE hosts (line text) SERVER files OPTIONS (filename '/etc/hosts')`,
      'GRANT SELECT ON hosts TO PUBLIC',
    ]
    for (const database of ['closed', 'model']) {
      await live.query('postgres', `CREATE DATABASE ${database}`)
      await live.query(database, ...connected)
    }
    await live.query('postgres', 'ALTER DATABASE closed WITH ALLOW_CONNECTIONS false')
    await live.query('postgres', 'ALTER DATABASE model WITH IS_TEMPLATE true')
    await using lab = await labOf({ sources: [physical(live.url('shop'))] })
    await lab.start()
    const messages = (await done(lab)).log.map(({ message }) => message)
    for (const database of ['closed', 'model'])
      expect(messages).toContain(`"${database}": removed: user mapping of public for far`)
    await using api = lab.client()
    await using clone = await api.clones.create({ db: { dbName: 'shop' } })
    const inDatabase = async (database: string, statement: string) => {
      const url = new URL(clone.connectionString())
      url.pathname = `/${database}`
      const client = new Client({ connectionString: url.href })
      await client.connect()
      try {
        return (await client.query(statement)).rows
      } finally {
        await client.end()
      }
    }
    // As its owner may.
    await inDatabase('shop', 'ALTER DATABASE closed WITH ALLOW_CONNECTIONS true')
    await inDatabase('shop', 'CREATE DATABASE copied TEMPLATE closed')
    await expect(inDatabase('shop', 'CREATE DATABASE modelled TEMPLATE model')).resolves.toEqual([])
    for (const database of ['closed', 'copied', 'modelled']) {
      expect(await inDatabase(database, 'SELECT srvname FROM pg_user_mappings')).toEqual([])
      expect(await inDatabase(database, 'SELECT * FROM hosts')).toEqual([])
    }
  })

  test('keeps what an extension consists of from users, in every database in which a superuser of the source has made it', async () => {
    await using live = await source()
    await live.query('postgres', 'CREATE ROLE boss SUPERUSER')
    for (const database of ['shop', 'stock']) await live.query(database, 'SET ROLE boss', 'CREATE EXTENSION citext')
    await using lab = await labOf({ sources: [physical(live.url('shop'))] })
    await lab.start()
    await done(lab)
    const owners = `SELECT DISTINCT proowner::regrole::text AS owner FROM pg_proc p
      JOIN pg_depend d ON d.objid = p.oid AND d.classid = 'pg_proc'::regclass AND d.deptype = 'e'
      JOIN pg_extension e ON e.oid = d.refobjid WHERE extname = 'citext'`
    for (const database of ['shop', 'stock']) {
      const { rows } = await inClone(lab, database, (clone) => clone.query(owners))
      expect([database, rows]).toEqual([database, [{ owner: 'dblab_extensions' }]])
    }
  })

  test('brings its tablespaces in, and leaves what it would reach out with behind', async () => {
    await using live = await source()
    const place = join(live.directory, 'other disk')
    await mkdir(place)
    if (isRoot) await chown(place, live.account.uid, live.account.gid)
    await live.query('postgres', `CREATE TABLESPACE other LOCATION '${place}'`)
    await live.query('shop', 'ALTER TABLE accounts SET TABLESPACE other')
    const trace = join(live.directory, 'socket', 'archived')
    await live.query(
      'postgres',
      `ALTER SYSTEM SET archive_command = 'touch ${trace}'`,
      `ALTER SYSTEM SET archive_mode = 'on'`,
    )
    await live.query(
      'shop',
      `CREATE EXTENSION postgres_fdw`,
      `CREATE SERVER far FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host 'production')`,
    )
    await live.query('shop', `CREATE USER MAPPING FOR PUBLIC SERVER far OPTIONS (user 'app', password 'secret')`)
    await using lab = await labOf({ sources: [physical(live.url('shop'))] })
    await lab.start()
    const run = await done(lab)
    expect(run.log.map(({ message }) => message)).toContain('"shop": removed: user mapping of public for far')
    const { rows } = await inClone(lab, 'shop', async (client) => {
      await client.query(`INSERT INTO accounts VALUES (0, 'mine', 0)`)
      return client.query('SELECT count(*)::int AS n FROM accounts')
    })
    expect(rows).toEqual([{ n: 20_001 }])
    expect(await inClone(lab, 'shop', (client) => client.query('SELECT FROM accounts WHERE id = 0'))).toMatchObject({
      rowCount: 0,
    })
    expect(await readdir(join(live.directory, 'socket'))).not.toContain('archived')
  })

  test.each([
    ['a role that may not copy', 'ALTER ROLE dump NOREPLICATION', 'ALTER ROLE "dump" REPLICATION'],
    ['a role that may not come in', 'ALTER ROLE dump NOLOGIN', 'CREATE ROLE'],
  ])('refuses %s before anything is copied, and says what to run', async (_what, statement, hint) => {
    await using live = await source()
    await live.query('postgres', statement)
    await using lab = await labOf({ sources: [physical(live.url('shop'))] })
    await lab.start()
    const { outcome, error, progress } = await ended(lab)
    expect([outcome, error?.code, progress.step]).toEqual(['FAILED', 'INVALID', 'CHECK'])
    expect(error?.hint).toContain(hint)
  })

  test('a copy that is stopped leaves the source and the lab as they were', async () => {
    await using live = await source()
    await live.query(
      'shop',
      `CREATE TABLE big AS SELECT repeat(md5(i::text), 30) AS t FROM generate_series(1, 60000) i`,
    )
    await using lab = await labOf({ sources: [physical(live.url('shop'), { maxRate: '1MB' })] })
    await lab.start()
    await using client = lab.client()
    await eventually(
      'it copies',
      async () => ((await client.retrieval.get()).current?.progress.bytesDone ?? 0) > 0,
      60_000,
    )
    const { current } = await client.retrieval.get()
    expect(current?.progress).toMatchObject({ step: 'COPY', bytesTotal: expect.any(Number) })
    expect(current?.progress.bytesTotal).toBeGreaterThan(60e6)
    expect(await client.retrieval.cancel()).toMatchObject({ outcome: 'CANCELLED' })
    await eventually('the source is free', async () => (await live.sessions()).length === 0)
    expect(await live.query('postgres', 'SELECT slot_name FROM pg_replication_slots')).toEqual([])
    expect(await readdir(join(lab.directory, '.dblab/pool/volumes'))).toEqual([])
  })
})
