import { readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import type { Instance } from '@dblab/models'
import {
  describeDriver,
  hasProgram,
  isRoot,
  mountedImage,
  testOnZfs,
  testPool,
  zfsIsHere,
} from '@dblab/provision/testbed'
import { expect, test } from 'vitest'
import { createClone } from '../support/clones.ts'
import { TestLab } from '../support/lab.ts'
import { loseAndRebuild, loseInTheMiddle } from './rebuild-job.ts'

const timeout = 240_000
const notRoot = isRoot ? undefined : 'only root can mount a file system'

// On a kernel that has ZFS but is otherwise a copy of this machine, that driver alone is of interest.
if (!zfsIsHere() || !process.env.ZFS_VM) {
  test('every clone and snapshot comes back, on copy', { timeout }, async () => {
    await using lab = await TestLab.make({ driver: 'copy' })
    await loseAndRebuild(lab)
  })
  describeDriver('btrfs', notRoot ?? (hasProgram('mkfs.btrfs') ? undefined : 'there is no mkfs.btrfs'), () => {
    test('every clone and snapshot comes back, on btrfs', { timeout }, async () => {
      await using lab = await TestLab.make({ driver: 'btrfs' })
      await loseAndRebuild(lab)
    })
  })
  describeDriver('btrfs', notRoot ?? (hasProgram('mkfs.btrfs') ? undefined : 'there is no mkfs.btrfs'), () => {
    test('what was under way when the catalogue was lost comes back whole or not at all', { timeout }, async () => {
      await using lab = await TestLab.make({ driver: 'btrfs' })
      await lab.start()
      await loseInTheMiddle(lab)
    })
  })
  describeDriver('reflink', notRoot ?? (hasProgram('mkfs.xfs') ? undefined : 'there is no mkfs.xfs'), () => {
    test('every clone and snapshot comes back, on reflink (XFS)', { timeout }, async () => {
      await using image = await mountedImage('xfs')
      await using lab = await TestLab.make({ driver: 'reflink', directory: image.directory })
      await loseAndRebuild(lab)
    })
  })

  test('a catalogue that is sound, or a newer server’s, is left alone unless told otherwise', { timeout }, async () => {
    await using lab = await TestLab.make({ driver: 'copy' })
    expect(await lab.run(['rebuild', '--yes'])).toMatchObject({ code: 0, stdout: expect.stringContaining('no lab') })
    await lab.start()
    await createClone(lab, { id: 'kept' })
    await lab.interrupt()
    const file = join(lab.directory, '.dblab/catalogue.db')
    expect(await lab.run(['rebuild', '--yes'])).toMatchObject({ code: 1, stderr: expect.stringContaining('is sound') })
    const db = new DatabaseSync(file)
    db.exec('PRAGMA user_version = 99')
    db.close()
    const newer = await readFile(file)
    const refused = { code: 1, stderr: expect.stringContaining('update this server') }
    expect(await lab.run(['rebuild', '--yes'])).toMatchObject(refused)
    expect(await readFile(file)).toEqual(newer)
    await rm(file)
    expect(await lab.run(['rebuild'])).toMatchObject({ code: 1, stdout: expect.stringContaining('-- --yes') })
    await writeFile(file, newer)
    expect(await lab.run(['rebuild', '--yes', '--force'])).toMatchObject({ code: 0 })
    await lab.start()
    const { clones, warnings } = (await (await lab.fetch('/status')).json()) as Instance
    expect(clones.map(({ id }) => id)).toEqual(['kept'])
    expect(warnings).toEqual([])
    // The old one, put back now, is known for what it is.
    await lab.interrupt()
    const whole = new DatabaseSync(file)
    whole.close()
    await writeFile(file, newer)
    await lab.start()
    expect(((await (await lab.fetch('/status')).json()) as Instance).warnings[0]?.code).toBe('CATALOGUE_LOST')
  })
}

if (zfsIsHere()) {
  describeDriver('zfs', notRoot, () => {
    test('every clone and snapshot comes back, on zfs', { timeout: 1_200_000 }, async () => {
      await using pool = await testPool()
      await using lab = await TestLab.make({
        driver: 'zfs',
        config: { storage: { dataset: join(pool.name, 'rebuild') } },
      })
      await loseAndRebuild(lab)
    })
  })
} else {
  testOnZfs(
    'every clone and snapshot comes back on zfs',
    { project: 'server-integration', file: 'test/rebuild/rebuild.integration.test.ts' },
    (passed) => expect(passed).toBe(1),
    { isLong: true },
  )
}
