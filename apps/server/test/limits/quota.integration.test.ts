import type { Clone, Instance } from '@dblab/models'
import { Cgroups, isProvisionError } from '@dblab/provision'
import { describeDriver, testOnZfs, zfsIsHere } from '@dblab/provision/testbed'
import { expect, test } from 'vitest'
import { createClone, urlOf } from '../support/clones.ts'
import { eventually, TestLab } from '../support/lab.ts'
import { query } from '../support/sql.ts'
import { lacksFileSystem, type SmallPool, smallBtrfs, smallZfs } from './pools.ts'
import { Writer } from './traffic.ts'

const TITLE =
  'a clone that writes without end meets its own quota, while the others write on; a reset or a deletion mends it'
const QUOTA = 64 * 2 ** 20
/** Of each row of the clone that writes without end, bytes. */
const PADDING = 1_000_000

async function canBound(): Promise<boolean> {
  try {
    await Cgroups.open('probe', ['memory', 'cpu'])
    return true
  } catch (error) {
    if (isProvisionError(error, 'UNAVAILABLE')) return false
    throw error
  }
}

/** One clone writes without end, beside two that write a little. */
async function writeWithoutEnd(pool: SmallPool): Promise<void> {
  await using lab = await TestLab.make(pool.options)
  await lab.start()
  const look = async (id: string) => (await (await lab.fetch(`/clone/${id}`)).json()) as Clone
  const [greedy, ...modest] = [
    await createClone(lab, { id: 'greedy' }),
    await createClone(lab, { id: 'first' }),
    await createClone(lab, { id: 'second' }),
  ]
  // Read in the background, and only then told.
  await expect.poll(async () => (await look('greedy')).diskQuota, { timeout: 20_000 }).toBe(QUOTA)
  const writers = modest.map((clone) => new Writer(urlOf(clone), 100))
  for (const writer of writers) await writer.start()
  // Its Postgres refuses rows, or ends where it can't write its log: which of them comes first is up to what it writes in that moment.
  // It is said of the clone a little before, from nine tenths on.
  const meetsItsLimit = async (hog: Writer) => {
    await eventually('it is refused', () => hog.refusals.length > 0, 120_000)
    await eventually(
      'it is said of the clone',
      async () => /quota/.test((await look('greedy')).status.message),
      120_000,
    )
    expect(hog.acknowledged * PADDING).toBeLessThan(QUOTA)
  }
  const hog = new Writer(urlOf(greedy), PADDING)
  await hog.start()
  await meetsItsLimit(hog)
  const before = writers.map((writer) => writer.acknowledged)
  await eventually(
    'the others go on meanwhile',
    () => writers.every((writer, index) => writer.acknowledged > (before[index] ?? 0) + 50),
    60_000,
  )
  await hog.stop()

  const reset = await lab.fetch('/clone/greedy/reset?wait=60', { method: 'POST' })
  expect((await reset.json()) as Clone).toMatchObject({ status: { code: 'OK', message: 'Database is ready' } })
  await query(urlOf(greedy), 'CREATE TABLE after_reset AS SELECT generate_series(1, 1000) AS i')

  const again = new Writer(urlOf(greedy), PADDING)
  await again.start()
  await meetsItsLimit(again)
  expect((await lab.fetch('/clone/greedy', { method: 'DELETE' })).status).toBe(202)
  await eventually('it is deleted', async () => (await lab.fetch('/clone/greedy')).status === 404)
  await again.stop()

  for (const writer of writers) {
    await writer.stop()
    expect(writer.refusals).toEqual([])
    expect(await writer.lost()).toBe(0)
  }
}

describeDriver('btrfs', lacksFileSystem('btrfs'), () => {
  test(`${TITLE} (btrfs)`, {
    timeout: 400_000,
  }, async () => {
    await using pool = await smallBtrfs({}, { clones: { diskQuota: QUOTA } })
    await writeWithoutEnd(pool)
  })
})

test('limits that this machine can not enforce are standing warnings, and clones are made without', async () => {
  const clones = { diskQuota: '64MB', memoryMax: '1GiB', cpus: 2 }
  await using lab = await TestLab.make({ driver: 'copy', config: { clones } })
  await lab.start()
  const { status, warnings } = (await (await lab.fetch('/status')).json()) as Instance
  expect(status.code).toBe('WARNING')
  expect(warnings).toContainEqual(
    expect.objectContaining({ code: 'LIMIT_NOT_ENFORCED', message: expect.stringContaining('clones.diskQuota') }),
  )
  const unbounded = warnings.filter(({ message }) => message.startsWith('clones.memoryMax and clones.cpus are not'))
  expect(unbounded).toHaveLength((await canBound()) ? 0 : 1)
  expect((await createClone(lab)).status.code).toBe('OK')
})

if (zfsIsHere()) {
  test(`${TITLE} (OpenZFS)`, { timeout: 1_400_000 }, async () => {
    await using pool = await smallZfs({ clones: { diskQuota: QUOTA } })
    await writeWithoutEnd(pool)
  })
} else {
  const inner = { project: 'server-integration', file: 'test/limits/quota.integration.test.ts' }
  testOnZfs(`${TITLE} (OpenZFS)`, inner, (passed) => expect(passed).toBeGreaterThanOrEqual(1), { isLong: true })
}
