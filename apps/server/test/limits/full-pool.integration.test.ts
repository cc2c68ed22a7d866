import { describeDriver, isLong, testOnZfs, zfsIsHere } from '@dblab/provision/testbed'
import { expect, test } from 'vitest'
import { FullPool } from './full-pool.ts'
import { lacksFileSystem, type SmallPool, smallBtrfs, smallXfs, smallZfs } from './pools.ts'

const KIB = 1024
const TITLE =
  'what a full pool keeps from being made says so and leaves nothing, and all goes on once a clone is deleted'
/** Room that is left, from none to enough: a start takes some hundred KiB, a WAL segment 16 MiB, and what was deleted is free seconds later. */
const ROOM = [...(isLong ? [0, 64, 256, 512, 2048, 4096, 20_480] : [0, 1024]), 131_072].map((kib) => kib * KIB)
const STEPS = Array.from({ length: isLong ? 60 : 4 }, (_, index) => index * 64 * KIB)

/** Fills the pool again and again, and in the end to its last byte; whatever is asked of the lab meanwhile ends in success, or in words. */
async function fillAndFree(makePool: () => Promise<SmallPool>): Promise<void> {
  await using pool = await makePool()
  await using full = await FullPool.make(pool)
  for (const bytes of STEPS) {
    await pool.leave(bytes)
    await full.tryCreate()
    await pool.release()
  }
  await full.beginToWrite()
  for (const bytes of ROOM) {
    await pool.leave(bytes)
    await full.tryAll()
    await pool.release()
    await full.expectWhole()
  }
  for (const outcomes of Object.values(full.outcomes)) {
    expect(outcomes.filter((outcome) => outcome !== 'done')).not.toEqual([])
    expect(outcomes.at(-1), full.lab.output.slice(-3000)).toBe('done')
  }
  await full.deleteOnFull()
  await full.deleteWithoutNames()
  await pool.release()
  await full.tryAll()
  await full.expectWhole()
  expect(Object.values(full.outcomes).map((outcomes) => outcomes.at(-1))).toEqual(Array(4).fill('done'))
  await full.importOnFull()
  const { rows, answers } = await full.endOfTraffic()
  expect(rows).toBeGreaterThan(100)
  expect(answers).toBeGreaterThan(100)
}

describeDriver('btrfs', lacksFileSystem('btrfs'), () => {
  test(`${TITLE} (btrfs)`, { timeout: 900_000 }, () => fillAndFree(smallBtrfs))
})

describeDriver('reflink', lacksFileSystem('xfs'), () => {
  test.skipIf(!isLong)(`${TITLE} (XFS, with the catalogue on it; with DBLAB_LONG_TESTS)`, { timeout: 900_000 }, () =>
    fillAndFree(smallXfs),
  )
})

if (zfsIsHere()) {
  test(`${TITLE} (OpenZFS)`, { timeout: 1_400_000 }, () => fillAndFree(smallZfs))
} else {
  const inner = { project: 'server-integration', file: 'test/limits/full-pool.integration.test.ts' }
  testOnZfs(`${TITLE} (OpenZFS)`, inner, (passed) => expect(passed).toBe(1), { isLong: true })
}
