import { readdir, readFile, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { armFaults, clusterState, type Instance, type Places, RARE_POINTS, withLabConnection } from '../../src/index.ts'
import { describeDriver } from '../../testbed/index.ts'
import { follow, lsnNumber, openPrimary, PASSWORD, standbySpec, until, untilCaughtUp } from './following.ts'
import { baseBackup, copyRunning } from './production.ts'
import { openSource } from './source.ts'
import { type Lab, missing, openLab } from './world.ts'

async function instanceOf(lab: Lab): Promise<Instance> {
  const instance = await lab.world.runtime.inspect('standby')
  if (!instance) throw new Error('there is no standby')
  return instance
}

async function rowsIn(lab: Lab): Promise<number> {
  const count = 'select count(*)::int as rows from public.t'
  const options = { superuser: 'postgres' }
  const found = await withLabConnection(await instanceOf(lab), 'postgres', (client) => client.query(count), options)
  return found.rows[0].rows
}

/** Every file below a directory that holds this text. */
async function filesWith(directory: string, text: string): Promise<string[]> {
  const entries = await readdir(directory, { withFileTypes: true, recursive: true })
  const found: string[] = []
  for (const { parentPath, name, ...entry } of entries.filter((entry) => entry.isFile())) {
    void entry
    if ((await readFile(join(parentPath, name))).includes(text)) found.push(name)
  }
  return found
}

describeDriver('btrfs', missing, () => {
  test('a standby follows, outlives the process that started it, and comes back when it is killed', async () => {
    await using lab = await openLab()
    await using source = await openPrimary(lab)
    const spec = await follow(lab, source)
    await source.query('insert into public.t values (2), (3)')
    const health = await untilCaughtUp(lab, spec, source)
    expect(health).toMatchObject({ problem: undefined, isLost: false, timeline: 1, restartedAfter: undefined })
    expect(await rowsIn(lab)).toBe(3)
    const idle = await until(lab.provisioner, spec, ({ lagSeconds }) => lagSeconds === 0)
    expect(idle.lagBytes).toBe(0)
    expect(Math.abs(Number(idle.caughtUpAt) - Date.now())).toBeLessThan(15_000)
    expect(Math.abs(Number(idle.replayedCommitAt) - Date.now())).toBeLessThan(60_000)

    const { pid } = await instanceOf(lab)
    const another = lab.anotherProvisioner()
    expect(await another.standbys.tend(spec)).toMatchObject({ isReceiving: true, restartedAfter: undefined })
    expect((await instanceOf(lab)).pid).toBe(pid)

    process.kill(pid ?? 0, 'SIGKILL')
    await source.query('insert into public.t values (4)')
    while ((await instanceOf(lab)).state === 'running') await sleep(50)
    expect(await another.standbys.tend(spec)).toMatchObject({ restartedAfter: expect.any(String) })
    await untilCaughtUp(lab, spec, source)
    expect(await rowsIn(lab)).toBe(4)
    // Not even by who asks it to.
    const settings = 'select pg_is_in_recovery() as standby, current_setting($$hot_standby_feedback$$) as feedback'
    const facts = await withLabConnection(await instanceOf(lab), 'postgres', (client) => client.query(settings), {
      superuser: 'postgres',
    })
    expect(facts.rows).toEqual([{ standby: true, feedback: 'off' }])
    expect(await source.query('select count(*)::int as slots from pg_replication_slots')).toEqual([{ slots: 0 }])
  })

  test('its password is in one file, which nobody else reads, while it runs', async () => {
    await using lab = await openLab()
    await using source = await openPrimary(lab)
    const spec = await follow(lab, source)
    await untilCaughtUp(lab, spec, source)
    const passfile = join(lab.world.stateDir, 'instances', 'standby', 'passfile')
    const { uid, mode } = await stat(passfile)
    expect([uid, mode & 0o777]).toEqual([lab.world.account.uid, 0o600])
    const written = PASSWORD.replace(/[\\:]/g, '\\$&')
    const { dataDir, pid } = await instanceOf(lab)
    expect(await filesWith(lab.world.stateDir, written)).toEqual(['passfile'])
    for (const text of [written, PASSWORD]) expect(await filesWith(dataDir, text)).toEqual([])
    for (const file of ['cmdline', 'environ'])
      expect(await readFile(`/proc/${pid}/${file}`, 'utf8')).not.toContain("ca'tion")
    await lab.world.runtime.stop('standby', 'clean')
    expect(await filesWith(lab.world.stateDir, written)).toEqual([])
    await lab.provisioner.standbys.start(spec)
    await untilCaughtUp(lab, spec, source)
    await lab.provisioner.destroyVolume('standby')
    expect(await lab.storage.listVolumes()).toEqual([])
    expect(await lab.world.runtime.list()).toEqual([])
  })

  test('where nothing is received it says why, and goes on when it can', async () => {
    await using lab = await openLab()
    await using source = await openPrimary(lab)
    const spec = await follow(lab, source)
    await source.query('insert into public.t values (2)')
    await until(lab.provisioner, spec, ({ lagSeconds }) => lagSeconds === 0)
    const untilProblem = (words: RegExp) =>
      until(lab.provisioner, spec, ({ isReceiving, problem }) => !isReceiving && words.test(problem ?? ''))
    await source.stop()
    const gone = await untilProblem(/could not connect to the primary server/)
    expect([gone.isLost, gone.lagSeconds]).toEqual([false, expect.any(Number)])
    await source.start()
    await untilCaughtUp(lab, spec, source)
    await source.query(`alter role rep password 'another'`)
    await source.stop()
    await source.start()
    const refused = await untilProblem(/password authentication failed/)
    expect(refused.problem).not.toContain("ca'tion")
    await source.query(`alter role rep password '${PASSWORD.replaceAll("'", "''")}'`)
    await untilCaughtUp(lab, spec, source)
  })

  test('settings that the source raises are raised here too', async () => {
    await using lab = await openLab()
    await using source = await openPrimary(lab)
    const spec = await follow(lab, source)
    await source.configure('max_connections = 333\nmax_prepared_transactions = 44')
    await source.stop()
    await source.start()
    await source.query('insert into public.t values (2)')
    const cured = await until(
      lab.provisioner,
      spec,
      (health) => 'restartedAfter' in health && health.restartedAfter !== undefined,
    )
    expect(cured).toMatchObject({ restartedAfter: expect.stringContaining('settings') })
    await untilCaughtUp(lab, spec, source)
    expect(await rowsIn(lab)).toBe(2)
    // And while it does not run.
    await lab.world.runtime.stop('standby', 'clean')
    await source.configure('max_connections = 444')
    await source.stop()
    await source.start()
    await source.query('insert into public.t values (3)')
    await lab.provisioner.standbys.start(spec)
    await untilCaughtUp(lab, spec, source)
    expect(await rowsIn(lab)).toBe(3)
  })

  test('a source that has thrown away what is still wanted is lost, unless an archive or a slot has it', async () => {
    await using lab = await openLab()
    await using source = await openPrimary(lab, 'wal_keep_size = 0\nmax_wal_size = 32MB\nmin_wal_size = 32MB')
    const spec = await follow(lab, source)
    await source.query(`select pg_create_physical_replication_slot('kept', true)`)
    const slotted = await follow(lab, source, { volumeId: 'slotted', slot: 'kept' })
    await untilCaughtUp(lab, spec, source)
    for (const id of ['standby', 'slotted']) await lab.world.runtime.stop(id, 'clean')
    const turnOver = async () => {
      for (let i = 0; i < 4; i++)
        await source
          .query('insert into public.t values (2)')
          .then(() => source.query('select pg_switch_wal()'))
          .then(() => source.query('checkpoint'))
    }
    await turnOver()
    await lab.provisioner.standbys.start(slotted)
    await untilCaughtUp(lab, slotted, source)
    await source.query(`select pg_terminate_backend(active_pid) from pg_replication_slots`)
    await lab.provisioner.destroyVolume('slotted')
    await source.query(`select pg_drop_replication_slot('kept')`)
    await turnOver()
    await lab.provisioner.standbys.start(spec)
    const lost = await until(lab.provisioner, spec, ({ isLost }) => isLost)
    expect(lost).toMatchObject({ isReceiving: false, problem: expect.stringContaining('has already been removed') })
  })

  test('a tablespace that the source makes elsewhere ends it, since it would write there', async () => {
    await using lab = await openLab()
    await using source = await openPrimary(lab)
    const spec = await follow(lab, source)
    await untilCaughtUp(lab, spec, source)
    const tablespace = await source.directory('elsewhere')
    await source.query(`create tablespace far location '${tablespace}'`)
    const tended = until(lab.provisioner, spec, () => false)
    await expect(tended).rejects.toMatchObject({ code: 'INVALID', message: expect.stringContaining(tablespace) })
    expect(await instanceOf(lab)).toMatchObject({ state: 'dead' })
    await expect(lab.provisioner.standbys.start(spec)).rejects.toMatchObject({ code: 'INVALID' })
  })

  test('a copy without WAL that its source does not give is given up in time, with the reason', async () => {
    await using lab = await openLab()
    await using source = await openPrimary(lab)
    const spec = standbySpec(source)
    const provisioner = lab.withDeadlines({ startMs: 10_000, recoveryMs: 5000 })
    const creating = provisioner.standbys.create(
      { ...spec, primary: { ...spec.primary, password: 'wrong' } },
      { bring: (places) => baseBackup(source, places, undefined, '-X', 'none') },
    )
    await expect(creating).rejects.toMatchObject({
      code: 'TIMEOUT',
      message: expect.stringContaining('password authentication failed'),
    })
    expect(await lab.storage.listVolumes()).toEqual([])
    // With the right one it comes by streaming.
    await provisioner.standbys.create(spec, {
      bring: (places) => baseBackup(source, places, undefined, '-X', 'none'),
    })
    await untilCaughtUp(lab, spec, source)
  })

  test('data that would start as a server of its own is never started as one', async () => {
    await using lab = await openLab()
    await using source = await openPrimary(lab)
    const spec = await follow(lab, source)
    const { dataDir } = await instanceOf(lab)
    await lab.world.runtime.stop('standby', 'clean')
    await rm(join(dataDir, 'standby.signal'))
    await lab.provisioner.standbys.start(spec)
    await untilCaughtUp(lab, spec, source)
    await lab.world.runtime.stop('standby', 'clean')
    expect(await clusterState(dataDir)).toBe('shut down in recovery')
    await rm(join(dataDir, 'standby.signal'))
    const control = join('global', 'pg_control')
    await source.run('/bin/cp', join(source.dataDir, control), join(dataDir, control))
    await expect(lab.provisioner.standbys.start(spec)).rejects.toMatchObject({
      code: 'FAILED',
      hint: expect.any(String),
    })
  })

  test('a role that is not the bootstrap superuser is refused, and nothing is left', async () => {
    await using lab = await openLab()
    await using source = await openPrimary(lab)
    await source.query('create role other superuser login')
    for (const superuser of ['other', 'nobody']) {
      const creating = lab.provisioner.standbys.create(standbySpec(source, { superuser }), {
        bring: (places) => baseBackup(source, places),
      })
      await expect(creating).rejects.toMatchObject({ code: 'INVALID', hint: expect.stringContaining('oid = 10') })
      expect(await lab.storage.listVolumes()).toEqual([])
    }
    for (const point of RARE_POINTS.filter((name) => /^standby\.(?!snapshot)/.test(name))) {
      armFaults({ faults: [{ point, action: 'throw' }] })
      const creating = lab.provisioner.standbys.create(standbySpec(source), {
        bring: (places) => baseBackup(source, places),
      })
      await expect(creating).rejects.toThrow(point)
      armFaults(undefined)
      expect([await lab.storage.listVolumes(), await lab.world.runtime.list()]).toEqual([[], []])
    }
  })

  test.each([14, 16, 17, 18] as const)('PostgreSQL %i follows, and a base is made of its snapshot', async (major) => {
    await using lab = await openLab()
    const binaries = await lab.world.binaries(major)
    const superuser = 'Chief of Staff'
    await using source = await openSource(lab.world.account, binaries, { superuser, settings: 'max_connections = 150' })
    const tablespace = await source.directory('elsewhere')
    await source.query(`create tablespace far location '${tablespace}'`)
    await source.query('create table public.t tablespace far as select i from generate_series(1, 1000) i')
    const { port, sockets } = source
    const primary = { host: sockets, port, username: superuser, sslMode: 'disable' } as const
    const spec = standbySpec(source, { primary, superuser })
    const bring = (places: Places) => copyRunning(source, places, major, tablespace)
    await lab.provisioner.standbys.create(spec, { bring })
    await source.query('insert into public.t values (0)')
    const { replayedLsn } = await untilCaughtUp(lab, spec, source)
    await lab.provisioner.standbys.snapshot(spec, 'raw')
    const raw = { volumeId: spec.volumeId, snapshotId: 'raw' }
    const base = { volumeId: 'base', snapshotId: 'ready' }
    const facts = await lab.provisioner.adoptSnapshot(raw, base)
    expect(facts).toMatchObject({ postgresVersion: major, recovery: { kind: 'archive', timeline: 2 } })
    expect(facts.sizeBytes).toBeGreaterThan(2 ** 20)
    expect(lsnNumber(facts.recovery.lsn)).toBeLessThanOrEqual(lsnNumber(replayedLsn))
    await lab.provisioner.createClone(await lab.cloneSpec('clone', base))
    expect(await lab.query('clone', 'select count(*)::int as rows from public.t')).toEqual([{ rows: 1501 }])
  })
})
