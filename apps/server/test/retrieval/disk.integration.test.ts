import { existsSync } from 'node:fs'
import { mkdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { ballastIn, isLong, mountedImage, tooLong } from '@dblab/provision/testbed'
import { describe, expect, test } from 'vitest'
import { lacksFileSystem, smallBtrfs } from '../limits/pools.ts'
import { createClone, urlOf } from '../support/clones.ts'
import { eventually, TestLab } from '../support/lab.ts'
import { openSession } from '../support/sql.ts'
import { expectSourceFree } from './aftermath.ts'
import { DUMP_PASSWORD, LiveSource } from './live-source.ts'
import { done, ended, labOf, lacking, logical, needSource, physical } from './world.ts'

const MIB = 2 ** 20
const withoutBtrfs = lacksFileSystem('btrfs')
const withoutXfs = lacksFileSystem('xfs')
const why = (reason: string | undefined) => (reason === undefined ? '' : ` (skipped: ${reason})`)

/** 60 MB that do not compress to less than half. */
const LARGE = [
  'CREATE TABLE large (i int, b text)',
  `INSERT INTO large SELECT i, (SELECT string_agg(md5(random()::text || j), '') FROM generate_series(1, 32) j WHERE i > 0) FROM generate_series(1, 50000) i`,
]

async function source(directory?: string): Promise<LiveSource> {
  const live = await LiveSource.make(needSource(), {
    ...(directory !== undefined && { directory }),
    settings: { wal_keep_size: '1GB', max_wal_size: '100MB' },
  })
  await live.query('postgres', 'ALTER ROLE dump REPLICATION', 'CREATE DATABASE shop')
  await live.query('shop', ...LARGE)
  return live
}

/** Runs come to a stop for a while at this point, once they have been there so many times. */
async function untilStruck(lab: TestLab, point: string): Promise<void> {
  const file = join(lab.directory, 'faults.log')
  await eventually(
    `the run is at ${point}`,
    async () => existsSync(file) && (await readFile(file, 'utf8')).includes(`struck ${point}`),
    60_000,
  )
}

describe.skipIf(lacking !== '' || withoutBtrfs !== undefined)(
  `a pool that is full${lacking}${why(withoutBtrfs)}`,
  () => {
    test.each([
      ['in the restore', 'retrieval.dumped', logical, 24, 'RESTORE'],
      ['in the recovery', 'adopt.quarantined', physical, 0, 'RECOVER'],
      ...(isLong
        ? ([
            ['in the dump', 'retrieval.snapshots-held', logical, 8, 'DUMP'],
            ['in the copy', 'adopt.volume-made', physical, 8, 'COPY'],
          ] as const)
        : []),
    ] as const)(
      '%s ends the run in words, gives all room back, and lets the next one succeed',
      async (_where, point, sourceOf, leftMib, step) => {
        await using live = await source()
        await using pool = await smallBtrfs()
        const { directory = '', driver, config } = pool.options
        const retrieval = { retrySeconds: 0.1, keep: { count: 1 }, sources: [sourceOf(live.url('shop'))] }
        await using lab = await TestLab.make({
          driver,
          directory,
          config: { ...config, retrieval },
          env: { DUMP_PASSWORD },
        })
        const faults = [{ point, action: 'delay', delayMs: 6000, skip: 1 }]
        await lab.start([], { DBLAB_FAULTS: JSON.stringify({ log: join(directory, 'faults.log'), faults }) })
        await done(lab)
        const session = await openSession(urlOf(await createClone(lab, { id: 'bystander' })))
        const before = await pool.content()
        await using client = lab.client()
        const snapshots = await client.snapshots.list()
        await client.retrieval.refresh()
        await untilStruck(lab, point)
        await pool.leave(leftMib * MIB)
        const run = await ended(lab)
        expect(run).toMatchObject({ outcome: 'FAILED', attempt: 1, progress: { step }, error: { code: 'NO_SPACE' } })
        expect([run.error?.message, run.error?.hint]).toEqual([
          expect.stringMatching(/space|room/),
          expect.stringContaining('disk'),
        ])
        // What a clone has to write itself is another matter.
        expect((await session.query('SELECT 1 AS one')).rows).toEqual([{ one: 1 }])
        await eventually('all room is given back', async () => (await pool.content()).length === before.length)
        expect(await client.snapshots.list()).toEqual(snapshots)
        await expectSourceFree(live, lab)
        await pool.release()
        await client.retrieval.waitUntilDone(await client.retrieval.refresh())
        expect((await session.query('SELECT count(*)::int AS n FROM large')).rows).toEqual([{ n: 50_000 }])
        await session.end()
      },
    )
  },
)

describe.skipIf(lacking !== '' || withoutXfs !== undefined || !isLong)(
  `a source whose disk is full${lacking}${why(withoutXfs)}${tooLong}`,
  () => {
    test.each([
      ['dumped', logical],
      ['copied', physical],
    ] as const)('can not be %s: the run says why, and the next one succeeds', async (how, sourceOf) => {
      await using image = await mountedImage('xfs')
      const directory = join(image.directory, 'source')
      await mkdir(directory)
      await using live = await source(directory)
      await using lab = await labOf({ attempts: 2, sources: [sourceOf(live.url('shop'))] })
      const ballast = ballastIn(image.directory)
      await ballast.leave(0)
      await ballast.leaveNoNames()
      await lab.start()
      const run = await ended(lab)
      // A dump's snapshot is a file there. What a copy begins with is more than the source survives.
      const said = run.log.map(({ message }) => message)
      expect([run.outcome, said]).toEqual([
        'FAILED',
        expect.arrayContaining([
          how === 'dumped'
            ? expect.stringMatching(/^the source refused: .*No space left on device$/)
            : expect.stringMatching(/^the source could not be copied: could not initiate base backup: /),
        ]),
      ])
      await ballast.release()
      // The lack of room may have ended it.
      await live.stop()
      await live.start()
      await lab.fetch('/refresh', { method: 'POST' })
      await done(lab)
      await expectSourceFree(live, lab)
    })
  },
)
