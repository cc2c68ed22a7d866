import { statfs, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { storageConformance } from '../../conformance/index.ts'
import { openStorage } from '../../src/storage/open.ts'
import { describeDriver, hasProgram, isRoot, type MountedImage, mountedImage } from '../../testbed/index.ts'
import { directoryWorld, OWNER } from './world.ts'

/** A directory on a file system that shares blocks; set to run without root, which making one takes. */
const given = process.env.STORAGE_TEST_DIRECTORY

function lacks(kind: 'xfs' | 'btrfs'): string | undefined {
  if (given !== undefined) return undefined
  if (!isRoot) return 'only root can mount a file system'
  return hasProgram(`mkfs.${kind}`) ? undefined : `there is no mkfs.${kind}`
}

for (const kind of given === undefined ? (['xfs', 'btrfs'] as const) : (['xfs'] as const)) {
  describeDriver('reflink', lacks(kind), () => {
    describe(given === undefined ? `on ${kind}` : 'in the directory that is given', () => {
      let image: MountedImage | undefined
      let directory = given ?? ''
      beforeAll(async () => {
        if (given !== undefined) return
        image = await mountedImage(kind)
        directory = image.directory
      })
      afterAll(() => image?.[Symbol.asyncDispose]())

      storageConformance('reflink', () => directoryWorld('reflink', directory))

      test('clones take no space for the data they share', async () => {
        await using world = await directoryWorld('reflink', directory)
        const { path } = await world.driver.createVolume('source')
        await writeFile(join(path, 'file'), Buffer.alloc(64 << 20, 'x'), { flush: true })
        const { bavail, bsize } = await statfs(directory)
        await world.driver.snapshot('source', 'base')
        for (const id of ['a', 'b', 'c', 'd']) await world.driver.clone({ volumeId: 'source', snapshotId: 'base' }, id)
        const after = await statfs(directory)
        expect((bavail - after.bavail) * bsize).toBeLessThan(32 << 20)
      })
    })
  })
}

test.skipIf(!isRoot || given !== undefined)('a file system that can’t share blocks is UNAVAILABLE', async () => {
  await using image = await mountedImage('ext4')
  const root = join(image.directory, 'root')
  const opening = openStorage({ driver: 'reflink', labId: 'lab', root, owner: OWNER })
  await expect(opening).rejects.toMatchObject({ code: 'UNAVAILABLE', hint: expect.stringContaining('XFS') })
})
