import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { isLong, isRoot } from '@dblab/provision/testbed'
import { describe, expect, test } from 'vitest'
import { parse, stringify } from 'yaml'
import { eventually, type TestLab } from '../support/lab.ts'
import { LiveSource } from './live-source.ts'
import { FILL, load } from './load.ts'
import { Standby } from './standby.ts'
import { checksums, done, inClone, labOf, lacking, needSource } from './world.ts'

const without = isRoot ? lacking : ' (skipped: needs root, for a pool whose snapshots are atomic)'

/** Beside other tests the machine's own pauses count: alone, it is a second. */
const MOST_LAG_SECONDS = isLong ? 1 : 10
const SNAPSHOTS = isLong ? 10 : 4

async function source(settings: Record<string, string> = {}): Promise<LiveSource> {
  const made = await LiveSource.make(needSource(), { settings: { wal_keep_size: '2GB', ...settings } })
  await made.query('postgres', 'ALTER ROLE dump REPLICATION')
  await made.query('postgres', 'CREATE DATABASE shop')
  await made.query('shop', ...FILL)
  return made
}

function followed(live: LiveSource, follow: unknown = true): Record<string, unknown> {
  return { kind: 'physical', url: live.url('shop'), passwordEnv: 'DUMP_PASSWORD', follow }
}

interface Receiver {
  pid: number
  lag: number | null
}

/** The lab's standby, as the source sees it. */
async function receiver(live: LiveSource): Promise<Receiver | undefined> {
  const [row] = await live.query<Receiver>(
    'postgres',
    `SELECT pid, extract(epoch FROM replay_lag)::float AS lag FROM pg_stat_replication
     WHERE application_name = 'dblab' AND state = 'streaming'`,
  )
  return row
}

/** The largest lag that the source sees, until it is asked for. */
function watchLag(live: LiveSource): { end(): Promise<{ worst: number; seen: number; missed: number }> } {
  const result = { worst: 0, seen: 0, missed: 0 }
  let goesOn = true
  const watching = (async () => {
    const client = live.client('postgres')
    await client.connect()
    while (goesOn) {
      const { rows } = await client.query<{ lag: number | null }>(
        `SELECT extract(epoch FROM replay_lag)::float AS lag FROM pg_stat_replication
         WHERE application_name = 'dblab' AND state = 'streaming'`,
      )
      if (rows.length === 0) result.missed++
      // Null while it has replayed all that there is, and nothing more comes.
      for (const { lag } of rows.filter(({ lag }) => lag !== null)) {
        result.seen++
        result.worst = Math.max(result.worst, lag ?? 0)
      }
      await delay(50)
    }
    await client.end()
  })()
  return {
    end: async () => {
      goesOn = false
      await watching
      return result
    },
  }
}

async function refresh(lab: TestLab): Promise<string> {
  await using client = lab.client()
  const { snapshot } = await client.retrieval.waitUntilDone(await client.retrieval.refresh())
  return snapshot
}

describe.skipIf(without !== '')(`a source that is followed${without}`, () => {
  test(`is followed within ${MOST_LAG_SECONDS} s while ${SNAPSHOTS} snapshots are taken, each right at its point of the log`, {
    timeout: 300_000,
  }, async () => {
    await using live = await source()
    await using standby = await Standby.make(live)
    await using lab = await labOf({ sources: [followed(live)], keep: { count: 2 } })
    await lab.start()
    await done(lab)
    const lag = watchLag(live)
    {
      await using _load = load(live, 'shop')
      for (let number = 0; number < SNAPSHOTS; number++) await refresh(lab)
    }
    const { worst, seen, missed } = await lag.end()
    expect(missed).toBe(0)
    expect(seen).toBeGreaterThan(20)
    expect(worst).toBeLessThan(MOST_LAG_SECONDS)
    await using client = lab.client()
    const { runs, standby: view, dataStateAt } = await client.retrieval.get()
    expect(view?.status).toMatchObject({ code: 'FOLLOWING' })
    const [, lsn] = /recovered to log (\S+) on timeline/.exec(JSON.stringify(runs[0]?.log)) ?? []
    await standby.replayTo(lsn ?? '')
    const reference = standby.client('shop')
    await reference.connect()
    const wanted = await checksums(reference)
    const { rows } = await reference.query<{ at: Date }>('SELECT max(at) AS at FROM entries')
    await reference.end()
    expect(await inClone(lab, 'shop', checksums)).toEqual(wanted)
    expect(Date.parse(dataStateAt)).toBeGreaterThanOrEqual(rows[0]?.at.getTime() ?? Number.NaN)
    expect(await live.query('postgres', 'SELECT slot_name FROM pg_replication_slots')).toEqual([])
    await eventually('old generations are gone', async () => (await client.snapshots.list()).length === 2)
  })

  test('goes on while the server is away, and is started again after it ended', async () => {
    await using live = await source()
    await using lab = await labOf({ sources: [followed(live)] })
    await lab.start()
    await done(lab)
    const before = await receiver(live)
    await lab.kill()
    await live.query('shop', `INSERT INTO accounts VALUES (0, 'while it was away', 0)`)
    expect((await receiver(live))?.pid).toBe(before?.pid)
    await lab.start()
    expect((await receiver(live))?.pid).toBe(before?.pid)
    await refresh(lab)
    expect(await inClone(lab, 'shop', (client) => client.query('SELECT FROM accounts WHERE id = 0'))).toMatchObject({
      rowCount: 1,
    })
    // As after a reboot: nothing runs.
    expect((await lab.run(['stop'])).code).toBe(0)
    await eventually('nothing receives', async () => (await receiver(live)) === undefined)
    await lab.start()
    await eventually('it follows again', async () => (await receiver(live)) !== undefined, 30_000)
    await using client = lab.client()
    // The source goes, which is told, and comes back.
    await live.stop()
    await eventually('it is told', async () => (await client.retrieval.get()).standby?.status.code === 'BROKEN', 60_000)
    await live.start()
    await eventually(
      'it is mended',
      async () => (await client.retrieval.get()).standby?.status.code === 'FOLLOWING',
      60_000,
    )
  })

  test('is copied anew where it has thrown away what the standby needs, and let go where it is not to be followed', async () => {
    await using live = await source({ wal_keep_size: '0', max_wal_size: '32MB', min_wal_size: '32MB' })
    await using lab = await labOf({ sources: [followed(live)] })
    await lab.start()
    await done(lab)
    expect((await lab.run(['stop'])).code).toBe(0)
    for (let round = 0; round < 4; round++) {
      await live.query(
        'shop',
        'CREATE TABLE junk AS SELECT repeat(md5(i::text), 10) FROM generate_series(1, 60000) i',
        'DROP TABLE junk',
      )
      await live.query('shop', 'SELECT pg_switch_wal()')
      await live.query('shop', 'CHECKPOINT')
    }
    await live.query('shop', `INSERT INTO accounts VALUES (0, 'new', 0)`)
    await lab.start()
    const snapshot = await refresh(lab)
    await using client = lab.client()
    expect((await client.snapshots.list())[0]?.id).toBe(snapshot)
    expect(await inClone(lab, 'shop', (db) => db.query('SELECT FROM accounts WHERE id = 0'))).toMatchObject({
      rowCount: 1,
    })
    await lab.interrupt()
    const file = join(lab.directory, 'dblab.yaml')
    const config = parse(await readFile(file, 'utf8'))
    config.retrieval.sources[0].follow = false
    await writeFile(file, stringify(config))
    await lab.start()
    await eventually('nothing receives', async () => (await receiver(live)) === undefined, 30_000)
    expect(await client.retrieval.get()).not.toHaveProperty('standby')
    expect(await inClone(lab, 'shop', (db) => db.query('SELECT FROM accounts WHERE id = 0'))).toMatchObject({
      rowCount: 1,
    })
  })

  test('takes a slot that is there and bounded, and no other', async () => {
    await using live = await source()
    await using lab = await labOf({ sources: [followed(live, { slot: 'lab' })] })
    await lab.start()
    await using client = lab.client()
    const lastError = async () => (await client.retrieval.get()).runs[0]?.error
    await eventually(
      'it is refused',
      async () => (await lastError())?.hint.includes('pg_create_physical_replication_slot') === true,
    )
    await live.query('postgres', `SELECT pg_create_physical_replication_slot('lab')`)
    await client.retrieval.refresh()
    await eventually('it is refused', async () => (await lastError())?.hint.includes('max_slot_wal_keep_size') === true)
    await live.query('postgres', `ALTER SYSTEM SET max_slot_wal_keep_size = '1GB'`, 'SELECT pg_reload_conf()')
    await refresh(lab)
    expect(await live.query('postgres', 'SELECT slot_name, active FROM pg_replication_slots')).toEqual([
      { slot_name: 'lab', active: true },
    ])
  })
})
