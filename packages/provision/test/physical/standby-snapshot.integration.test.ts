import { setTimeout as sleep } from 'node:timers/promises'
import { Client } from 'pg'
import { expect, test } from 'vitest'
import { type AdoptedFacts, armFaults, run, type StandbySpec } from '../../src/index.ts'
import { describeDriver, freePort, hasProgram, isRoot } from '../../testbed/index.ts'
import { follow, lsnNumber, openPrimary, untilCaughtUp } from './following.ts'
import { checksums, type Source } from './source.ts'
import { type Lab, missing, openLab } from './world.ts'

const SNAPSHOTS = 5
/** Of pgbench, a second: what two processors that do all of this besides can write and replay. */
const TRANSACTIONS = 100

/** Looks at the standby again and again, until it is told to end. */
function watchLag(lab: Lab, spec: StandbySpec) {
  const stop = new AbortController()
  const seen: number[] = []
  let missed = 0
  const watching = (async () => {
    while (!stop.signal.aborted) {
      const { isReceiving, lagSeconds } = await lab.provisioner.standbys.health(spec)
      if (!isReceiving) missed++
      if (lagSeconds !== undefined) seen.push(lagSeconds)
      await sleep(100)
    }
  })()
  return async () => {
    stop.abort()
    await watching
    return { worst: Math.max(...seen), looks: seen.length, missed }
  }
}

/** pgbench against the source, until it is told to end. */
function load(source: Source) {
  const stop = new AbortController()
  const at = ['-h', source.sockets, '-p', `${source.port}`, '-U', 'postgres']
  const argv: [string, ...string[]] = [
    'pgbench',
    '-n',
    '-c',
    '4',
    '-R',
    `${TRANSACTIONS}`,
    '-T',
    '600',
    ...at,
    'postgres',
  ]
  const running = run(argv, { ...(isRoot && { account: source.account }), timeoutMs: 600_000, signal: stop.signal })
  running.catch(() => undefined)
  return async () => {
    stop.abort()
    await expect(running).rejects.toMatchObject({ code: 'ABORTED' })
  }
}

/** A snapshot of the standby, made a base, and what is in a clone of that. */
async function snapshotAndSum(lab: Lab, spec: StandbySpec, number: number) {
  const raw = { volumeId: spec.volumeId, snapshotId: `raw-${number}` }
  await lab.provisioner.standbys.snapshot(spec, raw.snapshotId)
  const base = { volumeId: `base-${number}`, snapshotId: `ready-${number}` }
  const facts = await lab.provisioner.adoptSnapshot(raw, base)
  await lab.provisioner.createClone(await lab.cloneSpec(`clone-${number}`, base))
  const sums = await checksums((sql) => lab.query(`clone-${number}`, sql))
  await lab.provisioner.destroyVolume(`clone-${number}`)
  return { facts, sums }
}

/** Another standby of the source, by Postgres alone, which stops where it is told. */
async function openIndependent(source: Source) {
  const dataDir = await source.directory('independent')
  const port = await freePort()
  const at = ['-h', source.sockets, '-p', `${source.port}`, '-U', 'postgres']
  await source.run('pg_basebackup', '-D', dataDir, ...at, '-c', 'fast', '-R')
  const stop = () => source.run('pg_ctl', 'stop', '-w', '-m', 'fast', '-D', dataDir)
  return async (lsn: string): Promise<Map<string, string>> => {
    const target = `-c recovery_target_lsn=${lsn} -c recovery_target_action=pause`
    const options = `-c port=${port} -c listen_addresses= ${target}`
    await source.run('pg_ctl', 'start', '-w', '-D', dataDir, '-o', options, '-l', `${source.root}/independent.log`)
    const client = new Client({ host: source.sockets, port, user: 'postgres', database: 'postgres', ssl: false })
    await client.connect()
    const query = async (sql: string): Promise<Record<string, unknown>[]> => (await client.query(sql)).rows
    try {
      while ((await query('select pg_get_wal_replay_pause_state() as state'))[0]?.state !== 'paused') await sleep(50)
      return await checksums(query)
    } finally {
      await client.end()
      await stop()
    }
  }
}

/** Beside other tests the machine's own pauses count: alone, it is a second. */
const MOST_LAG_SECONDS = process.env.DBLAB_LONG_TESTS ? 1 : 10

describeDriver('btrfs', missing ?? (hasProgram('pgbench') ? undefined : 'pgbench is needed'), () => {
  test('snapshots of a standby under load hold what it had replayed, and it never stops following', {
    timeout: 600_000,
  }, async () => {
    await using lab = await openLab()
    await using source = await openPrimary(lab, 'wal_keep_size = 2GB\nmax_wal_size = 1GB')
    await source.run(
      'pgbench',
      '-i',
      '-s',
      '1',
      '-q',
      '-h',
      source.sockets,
      '-p',
      `${source.port}`,
      '-U',
      'postgres',
      'postgres',
    )
    const stoppedAt = await openIndependent(source)
    const spec = await follow(lab, source)
    const { pid } = (await lab.world.runtime.inspect(spec.volumeId)) ?? {}
    const endLoad = load(source)
    const written = 'select count(*)::int as rows from public.pgbench_history'
    while (Number((await source.query(written))[0]?.rows) < TRANSACTIONS) await sleep(100)
    await untilCaughtUp(lab, spec, source)
    const endWatch = watchLag(lab, spec)
    const taken: Awaited<ReturnType<typeof snapshotAndSum>>[] = []
    for (let number = 0; number < SNAPSHOTS; number++) taken.push(await snapshotAndSum(lab, spec, number))
    const lag = await endWatch()
    await endLoad()
    expect(lag.looks).toBeGreaterThan(20)
    expect(lag.missed).toBe(0)
    expect(lag.worst).toBeLessThan(MOST_LAG_SECONDS)
    expect((await lab.world.runtime.inspect(spec.volumeId))?.pid).toBe(pid)
    for (const [number, { facts, sums }] of taken.entries()) {
      expect(facts).toMatchObject({ recovery: { kind: 'archive', timeline: 2 }, superuser: 'postgres' })
      const earlier = taken[number - 1]
      if (earlier) expect(isLater(facts, earlier.facts)).toBe(true)
      expect(await stoppedAt(facts.recovery.lsn), facts.recovery.lsn).toEqual(sums)
    }
    expect(new Set(taken.map(({ sums }) => sums.get('public.pgbench_history'))).size).toBe(SNAPSHOTS)
    await untilCaughtUp(lab, spec, source)
  })

  test('a fault on the way to a base of one leaves the standby and its snapshot alone', async () => {
    await using lab = await openLab()
    await using source = await openPrimary(lab)
    const spec = await follow(lab, source)
    await untilCaughtUp(lab, spec, source)
    await lab.provisioner.standbys.snapshot(spec, 'raw')
    for (const point of ['adopt.cloned', 'adopt.replayed', 'adopt.shut-down']) {
      armFaults({ faults: [{ point, action: 'throw' }] })
      const adopting = lab.provisioner.adoptSnapshot(
        { volumeId: spec.volumeId, snapshotId: 'raw' },
        { volumeId: 'base', snapshotId: 'ready' },
      )
      await expect(adopting).rejects.toThrow(point)
      armFaults(undefined)
      expect((await lab.storage.listVolumes()).map(({ id }) => id)).toEqual([spec.volumeId])
      expect((await lab.storage.listSnapshots()).map(({ snapshotId }) => snapshotId)).toEqual(['raw'])
    }
    await source.query('insert into public.t values (2)')
    await untilCaughtUp(lab, spec, source)
  })

  test('where snapshots are not atomic the standby is stopped for one, and catches up', async () => {
    await using lab = await openLab('copy')
    await using source = await openPrimary(lab)
    const spec = await follow(lab, source)
    await untilCaughtUp(lab, spec, source)
    const { pid } = (await lab.world.runtime.inspect(spec.volumeId)) ?? {}
    const { facts, sums } = await snapshotAndSum(lab, spec, 0)
    expect(facts.recovery).toMatchObject({ kind: 'archive', timeline: 2 })
    expect(sums).toEqual(await checksums((sql) => source.query(sql)))
    expect((await lab.world.runtime.inspect(spec.volumeId))?.pid).not.toBe(pid)
    await source.query('insert into public.t values (2)')
    await untilCaughtUp(lab, spec, source)
  })
})

function isLater(a: AdoptedFacts, b: AdoptedFacts): boolean {
  return lsnNumber(a.recovery.lsn) > lsnNumber(b.recovery.lsn) && a.recovery.at > b.recovery.at
}
