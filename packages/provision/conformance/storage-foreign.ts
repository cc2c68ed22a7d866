import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { isProvisionError } from '../src/errors.ts'
import type { OpenHarness } from './harness.ts'
import { expectError, makeSource, reopened, SOURCE, snapshotNames, volumeIds } from './support.ts'

export function foreignThingsStay(open: OpenHarness): void {
  describe('what others keep in the pool', () => {
    test('an unlabelled volume is neither listed nor touched, and its id is taken', async () => {
      await using world = await open()
      await makeSource(world.driver)
      const foreign = await world.plantVolume('theirs')
      expect(await volumeIds(world.driver)).toEqual(['source'])
      await expectError(world.driver.createVolume('theirs'), 'ALREADY_EXISTS')
      await expectError(world.driver.clone(SOURCE, 'theirs'), 'ALREADY_EXISTS')
      await expectError(world.driver.snapshot('theirs', 'base'), 'NOT_FOUND')
      await expectError(world.driver.volumeUsage('theirs'), 'NOT_FOUND')
      await world.driver.destroyVolume('theirs')
      await (await reopened(world.config)).listVolumes()
      await foreign.expectIntact()
    })

    test('an unlabelled snapshot is neither listed nor touched, and its id is taken', async () => {
      await using world = await open()
      await makeSource(world.driver)
      const theirs = { volumeId: 'source', snapshotId: 'theirs' }
      const foreign = await world.plantSnapshot(theirs)
      expect(await snapshotNames(world.driver)).toEqual(['source@base'])
      await expectError(world.driver.snapshot('source', 'theirs'), 'ALREADY_EXISTS')
      await expectError(world.driver.clone(theirs, 'child'), 'NOT_FOUND')
      await world.driver.destroySnapshot(theirs)
      await foreign.expectIntact()
    })

    test('an unlabelled snapshot outlives its volume or blocks it by name', async () => {
      await using world = await open()
      await world.driver.createVolume('source')
      const foreign = await world.plantSnapshot({ volumeId: 'source', snapshotId: 'theirs' })
      try {
        await world.driver.destroyVolume('source')
      } catch (error) {
        if (!isProvisionError(error, 'IN_USE')) throw error
        expect(error.users).toEqual(['source@theirs'])
      }
      await foreign.expectIntact()
    })

    test('another lab in the same pool is not seen and not disturbed', async () => {
      await using world = await open()
      const other = await reopened({ ...world.config, labId: 'other-lab' })
      await makeSource(other)
      await other.clone(SOURCE, 'child', { note: 'of the other lab' })
      expect(await volumeIds(world.driver)).toEqual([])
      expect(await snapshotNames(world.driver)).toEqual([])
      await expectError(world.driver.createVolume('child'), 'ALREADY_EXISTS')
      await expectError(world.driver.clone(SOURCE, 'mine'), 'NOT_FOUND')
      await expectError(world.driver.snapshot('child', 'mine'), 'NOT_FOUND')
      await world.driver.destroyVolume('child')
      await world.driver.destroySnapshot(SOURCE)
      await reopened(world.config)
      expect(await volumeIds(other)).toEqual(['child', 'source'])
      expect(await snapshotNames(other)).toEqual(['source@base'])
    })

    test('two labs work side by side', async () => {
      await using world = await open()
      const other = await reopened({ ...world.config, labId: 'other-lab' })
      const mine = await world.driver.createVolume('mine')
      const theirs = await other.createVolume('theirs')
      await writeFile(join(mine.path, 'file'), 'mine')
      await writeFile(join(theirs.path, 'file'), 'theirs')
      await other.snapshot('theirs', 'base')
      const clone = await other.clone({ volumeId: 'theirs', snapshotId: 'base' }, 'theirs-too')
      await world.driver.destroyVolume('mine')
      expect(await readFile(join(clone.path, 'file'), 'utf8')).toBe('theirs')
      expect(await world.content()).toEqual(['theirs', 'theirs-too', 'theirs@base'])
    })
  })
}
