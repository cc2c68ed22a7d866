import { chmod, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  clusterControl,
  type Instance,
  type Places,
  type RecoverySpec,
  run,
  withLabConnection,
} from '../../src/index.ts'
import { describeDriver, isRoot, npmBinaries } from '../../testbed/index.ts'

import { baseBackup, copyRunning } from './production.ts'
import { openSource, type Source } from './source.ts'
import { type Lab, missing, openLab } from './world.ts'

let lab: Lab
beforeAll(async () => {
  if (missing === undefined) lab = await openLab()
})
afterAll(() => lab?.[Symbol.asyncDispose]())

async function asAccount(program: string, ...args: string[]): Promise<void> {
  await run([program, ...args], { ...(isRoot && { account: lab.world.account }) })
}

const copyOf =
  (source: Source) =>
  ({ dataDir }: Pick<Places, 'dataDir'>) =>
    asAccount('cp', '-a', `${source.dataDir}/.`, dataDir)

async function rowsOf(id: string): Promise<number> {
  const snapshot = { volumeId: id, snapshotId: `of-${id}` }
  await lab.provisioner.snapshotStopped(id, snapshot.snapshotId)
  await lab.provisioner.createClone(await lab.cloneSpec(`clone-${id}`, snapshot))
  const [row] = await lab.query(`clone-${id}`, 'select count(*)::int as rows from public.t')
  await lab.provisioner.destroyVolume(`clone-${id}`)
  await lab.storage.destroySnapshot(snapshot)
  await lab.provisioner.destroyVolume(id)
  return Number(row?.rows)
}

describeDriver('btrfs', missing, () => {
  test('a copy of what a killed server left recovers as that would have', async () => {
    await using source = await openSource(lab.world.account, await lab.world.binaries(15))
    await source.query('create table public.t as select i from generate_series(1, 1000) i')
    await source.query('checkpoint')
    await source.query('insert into public.t select i from generate_series(1, 500) i')
    await source.stop('immediate')
    const facts = await lab.provisioner.adoptBase({ volumeId: 'crashed' }, { bring: copyOf(source) })
    expect(facts.recovery).toMatchObject({ kind: 'crash', timeline: 1 })
    expect(await rowsOf('crashed')).toBe(1500)
  })

  test('a copy of what was shut down needs none, and tells when that was', async () => {
    await using source = await openSource(lab.world.account, await lab.world.binaries(15))
    await source.query('create table public.t as select 1 as i')
    await source.stop()
    const facts = await lab.provisioner.adoptBase({ volumeId: 'stopped' }, { bring: copyOf(source) })
    expect(facts.recovery).toMatchObject({ kind: 'none', timeline: 1 })
    expect(Math.abs(Number(facts.recovery.at) - Date.now())).toBeLessThan(60_000)
    expect(await rowsOf('stopped')).toBe(1)
  })

  test.each(['LATIN1', 'SQL_ASCII'])('data in %s comes in, with names that are not ASCII', async (encoding) => {
    await using source = await openSource(lab.world.account, await lab.world.binaries(15), {
      initdb: [`--encoding=${encoding}`],
    })
    await source.query('create table public.t as select 1 as i')
    await source.query('create role "frédéric" login; create table public."été" (i int)')
    await source.query(`begin; insert into public.t values (2); prepare transaction 'été'`)
    await source.stop()
    const facts = await lab.provisioner.adoptBase({ volumeId: 'encoded' }, { bring: copyOf(source) })
    expect(facts).toMatchObject({
      databases: ['postgres'],
      rolledBack: [{ database: 'postgres', gid: 'été' }],
    })
    expect(await rowsOf('encoded')).toBe(1)
  })

  test('a database whose name nobody could say over a connection is refused, with what to do', async () => {
    await using source = await openSource(lab.world.account, await lab.world.binaries(15), {
      initdb: ['--encoding=LATIN1'],
    })
    await source.query('create database "garçon"')
    await source.stop()
    const adopting = lab.provisioner.adoptBase({ volumeId: 'unsayable' }, { bring: copyOf(source) })
    await expect(adopting).rejects.toMatchObject({ code: 'INVALID', hint: expect.stringContaining('Rename') })
  })

  test('tablespaces that lie where others belong come to their own places', async () => {
    await using source = await openSource(lab.world.account, await lab.world.binaries(15))
    const oids: string[] = []
    for (const name of ['one', 'two']) {
      await source.query(`create tablespace ${name} location '${await source.directory(name)}'`)
      await source.query(`create table public.${name} tablespace ${name} as select '${name}' as name`)
      const [row] = await source.query(`select oid::text from pg_tablespace where spcname = '${name}'`)
      oids.push(String(row?.oid))
    }
    await source.query('create table public.t as select 1 as i')
    const [first = '', second = ''] = oids
    const bring = (places: Places) => {
      const mappings = [`one=${second}`, `two=${first}`].map((mapping) => {
        const [name, to] = mapping.split('=')
        return `--tablespace-mapping=${join(source.root, name ?? '')}=${join(places.tablespacesDir, to ?? '')}`
      })
      return baseBackup(source, places, undefined, ...mappings)
    }
    const seen: unknown[] = []
    const read = 'select one.name as one, two.name as two from public.one, public.two'
    const prepare = (instance: Instance) =>
      withLabConnection(instance, 'postgres', async (client) => {
        seen.push(...(await client.query(read)).rows)
        return false
      })
    await lab.provisioner.adoptBase({ volumeId: 'swapped' }, { bring, prepare })
    expect(seen).toEqual([{ one: 'one', two: 'two' }])
    expect(await rowsOf('swapped')).toBe(1)
  })

  test('more origins of replication than a clone has room for stand in no way', async () => {
    await using source = await openSource(lab.world.account, await lab.world.binaries(15), {
      settings: 'max_replication_slots = 40',
    })
    await source.query('create table public.t as select 1 as i')
    for (let number = 0; number < 20; number++) {
      await source.query(`select pg_replication_origin_create('origin-${number}')`)
      // Committed, so that WAL names it.
      await source.session(async (query) => {
        await query(`select pg_replication_origin_session_setup('origin-${number}')`)
        await query(`begin; select pg_replication_origin_xact_setup('0/${number + 1}', now())`)
        await query('insert into public.t values (2); commit')
      })
    }
    await source.stop('immediate')
    await lab.provisioner.adoptBase({ volumeId: 'origins' }, { bring: copyOf(source) })
    expect(await rowsOf('origins')).toBe(21)
  })

  test('a backup without its WAL is refused, and says what it lacks', async () => {
    await using source = await openSource(lab.world.account, await lab.world.binaries(15))
    const bring = (places: Places) => baseBackup(source, places, undefined, '-X', 'none')
    await expect(lab.provisioner.adoptBase({ volumeId: 'lacking' }, { bring })).rejects.toMatchObject({
      code: 'INVALID',
      hint: expect.stringContaining('restoreCommand'),
    })
  })

  describe('with an archive', () => {
    let source: Source
    let archive: string
    let fetch: string
    let lsn: string
    let time: Date
    beforeAll(async () => {
      if (missing !== undefined) return
      source = await openSource(lab.world.account, await lab.world.binaries(15))
      // What a shell would make something of.
      archive = await source.directory(`the "archive" $HOME 'of' %`)
      fetch = join(source.root, 'fetch')
      await writeFile(fetch, '#!/bin/sh\nprintf "%s\\n" "$@" > "$0.asked"\nexec cp "$1/$2" "$3"\n')
      await chmod(fetch, 0o755)
      await asAccount('touch', `${fetch}.asked`)
      await source.configure(`archive_mode = on\narchive_command = 'cp %p "${source.root}/archive/%f"'`)
      await asAccount('ln', '-s', archive, join(source.root, 'archive'))
      await source.stop()
      await source.start()
      await source.query('create table public.t as select 1 as i')
      await source.run(
        'pg_basebackup',
        '-D',
        join(source.root, 'backup'),
        '-h',
        join(source.root, 'sockets'),
        '-p',
        `${source.port}`,
        '-U',
        'postgres',
        '-c',
        'fast',
        '-X',
        'none',
      )
      await source.query('insert into public.t values (2)')
      const [at] = await source.query('select pg_current_wal_insert_lsn()::text as lsn')
      lsn = String(at?.lsn)
      await source.query('insert into public.t values (3)')
      const [now] = await source.query('select clock_timestamp() as time from pg_sleep(0.1)')
      time = new Date(Number(now?.time))
      await source.query('select pg_sleep(0.1)')
      await source.query('insert into public.t values (4)')
      await source.query('select pg_switch_wal()')
      await source.stop()
    })
    afterAll(() => source?.[Symbol.asyncDispose]())

    const bring = ({ dataDir }: Places) => asAccount('cp', '-a', `${join(source.root, 'backup')}/.`, dataDir)
    const restoreCommand = () => [fetch, archive.replaceAll('%', '%%'), '%f', '%p', `a'b "c" $HOME \\ %%`]

    test.each<[string, () => RecoverySpec['target'], number]>([
      ['its end', () => undefined, 4],
      ['the first consistent state', () => 'immediate', 1],
      ['the record at an LSN, which no commit comes after', () => ({ lsn }), 2],
      ['a time', () => ({ time }), 3],
    ])('a backup recovers to %s', async (_, target, rows) => {
      const recovery = { restoreCommand: restoreCommand(), target: target() }
      const facts = await lab.provisioner.adoptBase({ volumeId: 'restored', recovery }, { bring })
      expect(facts.recovery).toMatchObject({ kind: 'archive', timeline: 2 })
      expect(await rowsOf('restored')).toBe(rows)
      const asked = (await readFile(`${fetch}.asked`, 'utf8')).trimEnd().split('\n')
      expect([asked[0], asked[3]]).toEqual([archive, `a'b "c" $HOME \\ %`])
    })

    test('a target that the archive does not reach is refused', async () => {
      const recovery = { restoreCommand: restoreCommand(), target: { lsn: 'FF/0' } }
      await expect(lab.provisioner.adoptBase({ volumeId: 'beyond', recovery }, { bring })).rejects.toMatchObject({
        code: 'INVALID',
        message: expect.stringContaining('target'),
      })
      expect(await lab.storage.listVolumes()).toEqual([])
    })

    test('a recovery that does not get on is given up, and one that does is not', async () => {
      const slow = join(source.root, 'slow')
      await writeFile(slow, '#!/bin/sh\nsleep 3\nexec cp "$1/$2" "$3"\n')
      await chmod(slow, 0o755)
      const stuck = join(source.root, 'stuck')
      await writeFile(stuck, '#!/bin/sh\nexec sleep 1000\n')
      await chmod(stuck, 0o755)
      const provisioner = lab.withDeadlines({ startMs: 60_000, recoveryMs: 6000 })
      const seen: (string | undefined)[] = []
      const onProgress = ({ walFile }: { walFile?: string | undefined }) => void seen.push(walFile)
      const recovery = { restoreCommand: [slow, archive.replaceAll('%', '%%'), '%f', '%p'] }
      const began = Date.now()
      await provisioner.adoptBase({ volumeId: 'slow', recovery }, { bring, onProgress })
      expect(Date.now() - began).toBeGreaterThan(6000)
      expect(seen.filter(Boolean).length).toBeGreaterThan(0)
      const hanging = provisioner.adoptBase({ volumeId: 'stuck', recovery: { restoreCommand: [stuck] } }, { bring })
      await expect(hanging).rejects.toMatchObject({ code: 'TIMEOUT' })
      const stop = new AbortController()
      const stopped = provisioner.adoptBase(
        { volumeId: 'stopped', recovery: { restoreCommand: [stuck] } },
        { bring, signal: stop.signal },
      )
      setTimeout(() => stop.abort(), 3000)
      await expect(stopped).rejects.toMatchObject({ code: 'ABORTED' })
      await provisioner.destroyVolume('slow')
      expect(await lab.storage.listVolumes()).toEqual([])
    })
  })

  describe.each([14, 15, 16, 17, 18] as const)('PostgreSQL %i', (major) => {
    const there = major === 18 || major === 15 || npmBinaries(major) !== undefined

    test.skipIf(!there)('is copied while it runs, with a tablespace, and recovers', async () => {
      const binaries = await lab.world.binaries(major)
      expect(binaries.major).toBe(major)
      await using source = await openSource(lab.world.account, binaries, {
        superuser: 'Chief of Staff',
        initdb: ['--wal-segsize=64'],
        settings: 'max_connections = 150\nmax_locks_per_transaction = 100\nmin_wal_size = 128MB',
      })
      const tablespace = await source.directory('elsewhere')
      await source.query(`create tablespace far location '${tablespace}'`)
      await source.query('create table public.t tablespace far as select i from generate_series(1, 1000) i')
      const facts = await lab.provisioner.adoptBase(
        { volumeId: 'copied' },
        { bring: (places) => copyRunning(source, places, major, tablespace) },
      )
      expect(facts).toMatchObject({ postgresVersion: major, superuser: 'Chief of Staff' })
      expect(facts.recovery).toMatchObject({ kind: 'archive', timeline: 2 })
      expect(await rowsOf('copied')).toBe(1500)
    })

    test.skipIf(!there)('says in its control file what the lab reads there', async () => {
      await using source = await openSource(lab.world.account, await lab.world.binaries(major), {
        initdb: ['--wal-segsize=64'],
        settings: `min_wal_size = 128MB\n${Object.entries(ODD_SETTINGS)
          .map(([name, value]) => `${name} = ${value}`)
          .join('\n')}`,
      })
      const [said] = await source.query(
        `select checkpoint_lsn::text as "checkpointLsn", redo_lsn::text as "redoLsn", timeline_id as timeline,
           checkpoint_time as "checkpointAt", bytes_per_wal_segment as "walSegmentBytes"
         from pg_control_checkpoint(), pg_control_init()`,
      )
      expect(await clusterControl(source.dataDir)).toEqual({ ...said, state: 'in production', settings: ODD_SETTINGS })
      await source.stop()
      expect(await clusterControl(source.dataDir)).toMatchObject({ state: 'shut down', timeline: 1 })
    })
  })
})

const ODD_SETTINGS = {
  max_connections: 123,
  max_worker_processes: 17,
  max_wal_senders: 19,
  max_prepared_transactions: 23,
  max_locks_per_transaction: 77,
}
