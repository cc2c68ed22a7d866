import { chmod, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import {
  ballastIn,
  describeDriver,
  hasProgram,
  isLong,
  isRoot,
  mountedImage,
  smallZpool,
  testOnZfs,
  zfsIsHere,
} from '../../testbed/index.ts'
import { fillAtEachStep, type Pool } from './full-at-each-step.ts'

const TITLE =
  'a pool that is full before or after each step of an operation refuses it in words, and nothing is left of it'
/** The runner's kernel has no other file system; see CONTRIBUTING. */
const inVm = process.env.ZFS_VM !== undefined
/** Minutes each: a clone of a thousand files, a kernel that is a program. */
const options = { timeout: 600_000 }

async function expectBoth(pool: Pool): Promise<void> {
  const findings = await fillAtEachStep(pool)
  expect(findings.length).toBeGreaterThan(20)
  for (const operation of ['create', 'reset', 'publishing it', 'import']) {
    expect(
      findings.filter((line) => line.startsWith(operation) && line.endsWith('NO_SPACE')),
      operation,
    ).not.toEqual([])
  }
}

async function directory(): Promise<{ path: string } & AsyncDisposable> {
  const path = await mkdtemp(join(tmpdir(), 'full-'))
  await chmod(path, 0o711)
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true }) }
}

if (!inVm)
  describeDriver('btrfs', isRoot && hasProgram('mkfs.btrfs') ? undefined : 'root and btrfs-progs are needed', () => {
    test(`${TITLE} (btrfs)`, options, async () => {
      await using top = await directory()
      const root = join(top.path, 'pool')
      const image = { path: join(top.path, 'image'), sizeBytes: 600 * 2 ** 20 }
      await expectBoth({ config: { driver: 'btrfs', root, image }, ballast: ballastIn(root) })
    })
  })

if (!inVm)
  describeDriver('reflink', isRoot && hasProgram('mkfs.xfs') ? undefined : 'root and xfsprogs are needed', () => {
    test.skipIf(!isLong)(`${TITLE} (XFS; with DBLAB_LONG_TESTS)`, options, async () => {
      await using image = await mountedImage('xfs')
      const root = join(image.directory, 'pool')
      await expectBoth({ config: { driver: 'reflink', root }, ballast: ballastIn(image.directory) })
    })
  })

if (zfsIsHere()) {
  test(`${TITLE} (OpenZFS)`, { timeout: 1_200_000 }, async () => {
    await using pool = await smallZpool()
    await using top = await directory()
    await expectBoth({ config: { driver: 'zfs', root: top.path, dataset: `${pool.name}/lab` }, ballast: pool })
  })
} else {
  const inner = { project: 'provision-integration', file: 'test/limits/full.integration.test.ts' }
  testOnZfs(`${TITLE} (OpenZFS)`, inner, (passed) => expect(passed).toBeGreaterThanOrEqual(1), { isLong: true })
}
