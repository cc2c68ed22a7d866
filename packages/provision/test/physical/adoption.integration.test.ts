import { createHash } from 'node:crypto'
import { readdir, readFile, readlink } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { dataDirOf, type Places, withLabConnection } from '../../src/index.ts'
import { describeDriver } from '../../testbed/index.ts'
import { asUser } from '../postgres/cluster.ts'
import { baseBackup, fillAsProduction, GID, SECOND, WATCHER } from './production.ts'
import { checksums, openSource, type Source } from './source.ts'
import { type Lab, missing, openLab, USER } from './world.ts'

const SETTINGS = `logging_collector = on
log_directory = 'log'
max_connections = 133
max_replication_slots = 20`

const FIRST = { volumeId: 'base', snapshotId: 'first' }

async function linksIn(directory: string): Promise<string[]> {
  const entries = await readdir(directory, { withFileTypes: true, recursive: true })
  const links = entries.filter((entry) => entry.isSymbolicLink())
  return Promise.all(links.map(({ parentPath, name }) => readlink(join(parentPath, name))))
}

/** Of all files of a volume, in which nothing runs. */
async function digestOf(lab: Lab, id: string): Promise<string> {
  const volume = await lab.storage.findVolume(id)
  const entries = await readdir(volume?.path ?? '', { withFileTypes: true, recursive: true })
  const paths = entries.filter((entry) => entry.isFile()).map(({ parentPath, name }) => join(parentPath, name))
  const hash = createHash('sha256')
  for (const path of paths.sort()) hash.update(`${path}\0`).update(await readFile(path))
  return hash.digest('hex')
}

/** Adopts what the source has, and makes a clone of it. */
async function adoptAndClone(lab: Lab, source: Source, tablespace: string, walElsewhere = false) {
  const bring = (places: Places) => {
    const more = walElsewhere ? [`--waldir=${join(places.tablespacesDir, 'wal')}`] : []
    return baseBackup(source, places, tablespace, ...more)
  }
  const facts = await lab.provisioner.adoptBase({ volumeId: FIRST.volumeId }, { bring })
  await lab.provisioner.snapshotStopped(FIRST.volumeId, FIRST.snapshotId)
  await lab.provisioner.createClone(await lab.cloneSpec('clone', FIRST))
  return facts
}

async function inClone<T>(
  lab: Lab,
  work: (query: (sql: string) => Promise<unknown[]>) => Promise<T>,
  database?: string,
) {
  const clone = await lab.world.runtime.inspect('clone')
  if (!clone) throw new Error('there is no clone')
  return asUser(clone, { user: USER.username, ...(database !== undefined && { database }) }, work)
}

async function expectNothingAlive(lab: Lab): Promise<void> {
  const alive = await lab.query(
    'clone',
    `select name, setting from pg_settings where name in ('archive_mode', 'archive_command', 'primary_conninfo', 'logging_collector',
       'shared_preload_libraries', 'session_preload_libraries') and setting not in ('', 'off', '(disabled)')
     union all select slot_name::text, slot_type::text from pg_replication_slots
     union all select gid, 'prepared' from pg_prepared_xacts
     union all select evtname::text, 'event trigger' from pg_event_trigger where evtenabled <> 'D'
     union all select rolname::text, 'login' from pg_authid where rolcanlogin and rolname not in ('dblab', '${USER.username}')
     union all select rolname::text, 'superuser' from pg_authid where rolsuper and rolname not in ('dblab', 'postgres')
     union all select backend_type, 'process' from pg_stat_activity where backend_type ~ 'logical|walreceiver|archiver'`,
  )
  expect(alive).toEqual([])
}

describeDriver('btrfs', missing, () => {
  test('a base backup becomes a base, of which nothing comes to life but the data', async () => {
    await using lab = await openLab()
    await using source = await openSource(lab.world.account, await lab.world.binaries(15), { settings: SETTINGS })
    const { trace, tablespace } = await fillAsProduction(source)
    await source.stop()
    await source.start()
    const before = await checksums((sql) => source.query(sql, 'postgres', WATCHER))
    const backedUpAt = new Date()
    const facts = await adoptAndClone(lab, source, tablespace)
    // From here on it is the copy's alone to write there.
    await source.stop()
    const archived = await readFile(trace, 'utf8')
    expect(archived).toMatch(/^0000/)
    expect(facts).toMatchObject({ postgresVersion: 15, superuser: 'postgres', collations: [] })
    expect(facts.databases).toEqual([SECOND, 'postgres'])
    expect(facts.rolledBack).toEqual([{ database: 'postgres', gid: GID }])
    expect(facts.recovery).toMatchObject({ kind: 'archive', timeline: 2, lsn: expect.stringMatching(/^0\/[0-9A-F]+$/) })
    expect(Math.abs(Number(facts.recovery.at) - Number(backedUpAt))).toBeLessThan(30_000)
    for (const name of ['postgresql.auto.conf', 'pg_hba.conf', 'log', 'current_logfiles', 'backup_manifest'])
      expect(facts.removed).toContain(name)

    expect(await checksums((sql) => lab.query('clone', sql))).toEqual(before)
    await expectNothingAlive(lab)
    await inClone(lab, (query) => query('create table public.own as select * from public.kept; drop table public.held'))
    // Each database that a user makes is a copy of the data's template1.
    await inClone(lab, (query) => query('create database third'))
    const [lifted] = await inClone(
      lab,
      (query) => query('select rolsuper from pg_roles where rolname = public.lift()'),
      'third',
    )
    expect(lifted).toEqual({ rolsuper: false })
    await expect(inClone(lab, async () => undefined, 'template1')).rejects.toMatchObject({ code: '42501' })
    // Which logs in as it is made.
    await lab.provisioner.createClone(await lab.cloneSpec('owner', FIRST, 'app'))
    await expect(lab.provisioner.createClone(await lab.cloneSpec('another', FIRST, 'postgres'))).rejects.toMatchObject({
      code: 'INVALID',
    })
    expect(await readFile(trace, 'utf8')).toBe(archived)
  })

  test('a clone of data with tablespaces writes into its own alone', async () => {
    await using lab = await openLab()
    await using source = await openSource(lab.world.account, await lab.world.binaries(15), { settings: SETTINGS })
    const { tablespace } = await fillAsProduction(source)
    await adoptAndClone(lab, source, tablespace, true)
    const [sums, digest] = [
      await checksums((sql) => source.query(sql, 'postgres', WATCHER)),
      await digestOf(lab, FIRST.volumeId),
    ]
    await inClone(lab, (query) =>
      query('update public.faraway set i = -i; create table public.more tablespace far as select 1 as one'),
    )
    await lab.query('clone', 'checkpoint')
    expect(await digestOf(lab, FIRST.volumeId)).toBe(digest)
    expect(await checksums((sql) => source.query(sql, 'postgres', WATCHER))).toEqual(sums)
    for (const id of [FIRST.volumeId, 'clone']) {
      const volume = await lab.storage.findVolume(id)
      const links = await linksIn(volume?.path ?? '')
      expect(links).toEqual([expect.stringMatching(/^\.\.\/\.\.\/tablespaces\/\d+$/)])
      const [oid = ''] = await readdir(join(dataDirOf({ path: volume?.path ?? '' }), 'pg_tblspc'))
      expect(await readdir(join(volume?.path ?? '', 'tablespaces'))).toEqual([oid])
    }
  })

  test('work on the data comes when nothing of it is alive, and what it makes is handed over', async () => {
    await using lab = await openLab()
    await using source = await openSource(lab.world.account, await lab.world.binaries(15), { settings: SETTINGS })
    const { tablespace } = await fillAsProduction(source)
    const seen: unknown[] = []
    await lab.provisioner.adoptBase(
      { volumeId: FIRST.volumeId, settings: { wal_recycle: 'off' } },
      {
        bring: (places) => baseBackup(source, places, tablespace),
        prepare: async (instance, { open }) => {
          seen.push(open)
          const work = `create table public.made as select 1 as one; update public.kept set text = 'masked'`
          await withLabConnection(instance, 'postgres', (client) => client.query(work), { dataSession: true })
          const { rows } = await withLabConnection(instance, 'postgres', (client) => client.query(FACTS))
          seen.push(...rows)
          return true
        },
      },
    )
    expect(seen).toEqual([[SECOND, 'postgres'], { wal_recycle: 'off', triggers: 0, logins: ['dblab'] }])
    await lab.provisioner.snapshotStopped(FIRST.volumeId, FIRST.snapshotId)
    await lab.provisioner.createClone(await lab.cloneSpec('clone', FIRST))
    const [row] = await inClone(lab, (query) => query('select count(distinct text)::int as texts from public.kept'))
    expect(row).toEqual({ texts: 1 })
    await inClone(lab, (query) => query('alter table public.made add note text'))
  })

  test('a statement means in a clone what it means at the source, as far as the machine can', async () => {
    await using lab = await openLab()
    await using source = await openSource(lab.world.account, await lab.world.binaries(15), {
      settings: `timezone = 'Asia/Kolkata'\ndefault_text_search_config = 'pg_catalog.english'\nwork_mem = 99MB`,
    })
    await source.query(`alter system set datestyle = 'sql, dmy'`)
    await source.query('select pg_reload_conf()')
    await source.stop()
    const bring = ({ dataDir }: Places) => source.run('/bin/cp', '-a', `${source.dataDir}/.`, dataDir)
    const settingsOfSource = { lc_monetary: 'xx_XX.UTF-8', extra_float_digits: '0', archive_command: 'false' }
    const facts = await lab.provisioner.adoptBase({ volumeId: FIRST.volumeId, settingsOfSource }, { bring })
    expect(facts.notKept).toEqual(['lc_monetary'])
    expect(facts.kept).toMatchObject({ timezone: 'Asia/Kolkata', datestyle: 'sql, dmy', extra_float_digits: '0' })
    expect(facts.kept).not.toHaveProperty('work_mem')
    await lab.provisioner.snapshotStopped(FIRST.volumeId, FIRST.snapshotId)
    await lab.provisioner.createClone(await lab.cloneSpec('clone', FIRST))
    const said = `select timestamptz '2026-12-31 20:00+00'::text as time, to_tsvector('running dogs')::text as words,
      current_setting('work_mem') as memory`
    expect(await inClone(lab, (query) => query(said))).toEqual([
      { time: '01/01/2027 01:30:00 IST', words: "'dog':2 'run':1", memory: '4MB' },
    ])
  })

  test('text that another version of a locale has sorted is told of, and libraries of the source are not asked for', async () => {
    await using lab = await openLab()
    await using source = await openSource(lab.world.account, await lab.world.binaries(15))
    for (const sql of [
      `create collation public.words (provider = icu, locale = 'de', version = '1.0')`,
      `create collation public.unused (provider = icu, locale = 'de', version = '1.0')`,
      'create table public.t (word text collate public.words)',
      `update pg_database set datcollversion = '0' where datname = 'postgres'`,
      `alter role all set local_preload_libraries = 'nothing'; alter database postgres set session_preload_libraries = 'nothing'`,
    ])
      await source.query(sql)
    await source.stop()
    const facts = await lab.provisioner.adoptBase(
      { volumeId: FIRST.volumeId },
      { bring: ({ dataDir }) => source.run('/bin/cp', '-a', `${source.dataDir}/.`, dataDir) },
    )
    expect(facts.collations).toEqual([
      { database: 'postgres', collation: undefined, recorded: '0', actual: undefined },
      { database: 'postgres', collation: 'public.words', recorded: '1.0', actual: expect.stringMatching(/^\d/) },
    ])
    await lab.provisioner.snapshotStopped(FIRST.volumeId, FIRST.snapshotId)
    await lab.provisioner.createClone(await lab.cloneSpec('clone', FIRST))
    expect(await inClone(lab, (query) => query('select 1 as one'))).toEqual([{ one: 1 }])
    expect(await lab.query('clone', `select 1 from pg_db_role_setting where setconfig::text ~ 'preload'`)).toEqual([])
  })
})

const FACTS = `select current_setting('wal_recycle') as wal_recycle,
  (select count(*)::int from pg_event_trigger where evtenabled <> 'D') as triggers,
  array(select rolname::text from pg_authid where rolcanlogin) as logins`
