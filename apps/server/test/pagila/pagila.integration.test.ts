import { join } from 'node:path'
import {
  describeDriver,
  hasProgram,
  isLong,
  isRoot,
  mountedImage,
  testOnZfs,
  testPool,
  zfsIsHere,
} from '@dblab/provision/testbed'
import { describe, expect, test } from 'vitest'
import { TestLab, type TestLabOptions } from '../support/lab.ts'
import { binDirOf, MAJORS, type Major } from '../support/majors.ts'
import { pagilaMissing } from '../support/pagila.ts'
import { doTheMainJob } from './main-job.ts'

const timeout = 300_000

async function runOn(options: TestLabOptions, version: Major): Promise<void> {
  const binDir = binDirOf(version)
  if (binDir === undefined) throw new Error(`there is no PostgreSQL ${version.version} on this machine`)
  await using lab = await TestLab.make({
    ...options,
    config: { ...options.config, postgres: { version: version.version, binDir } },
  })
  await doTheMainJob(lab)
}

const skipped = pagilaMissing === undefined ? '' : ` (skipped: ${pagilaMissing})`

// The newest every day, and the others in the long tests.
describe.skipIf(skipped !== '').each(isLong ? MAJORS : MAJORS.slice(-1))(
  `Pagila on PostgreSQL $version${skipped}`,
  (version) => {
    const absent =
      (hasProgram('psql') ? undefined : 'there is no psql') ??
      (binDirOf(version) ? undefined : `there is no PostgreSQL ${version.version}`)
    const root = absent ?? (isRoot ? undefined : 'only root can mount a file system')

    // On a kernel that has ZFS but is otherwise a copy of this machine, that driver alone is of interest.
    if (!zfsIsHere() || !process.env.ZFS_VM) {
      describeDriver('copy', absent, () => {
        test('three clones, written to and reset, on copy', { timeout }, () => runOn({ driver: 'copy' }, version))
      })
      describeDriver('btrfs', root ?? (hasProgram('mkfs.btrfs') ? undefined : 'there is no mkfs.btrfs'), () => {
        test('three clones, written to and reset, on btrfs', { timeout }, () => runOn({ driver: 'btrfs' }, version))
      })
      describeDriver('reflink', root ?? (hasProgram('mkfs.xfs') ? undefined : 'there is no mkfs.xfs'), () => {
        test('three clones, written to and reset, on reflink (XFS)', { timeout }, async () => {
          await using image = await mountedImage('xfs')
          await runOn({ driver: 'reflink', directory: image.directory }, version)
        })
      })
    }

    if (zfsIsHere()) {
      describeDriver('zfs', root, () => {
        test('three clones, written to and reset, on zfs', { timeout: 1_200_000 }, async () => {
          await using pool = await testPool()
          await runOn(
            { driver: 'zfs', config: { storage: { dataset: join(pool.name, `pagila-${version.version}`) } } },
            version,
          )
        })
      })
    }
  },
)

if (skipped === '' && !zfsIsHere()) {
  testOnZfs(
    'the main job on zfs',
    { project: 'server-integration', file: 'test/pagila/pagila.integration.test.ts' },
    (passed) => {
      expect(passed).toBe(MAJORS.length)
    },
    { isLong: true },
  )
}
