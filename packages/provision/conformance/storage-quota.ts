import { randomBytes } from 'node:crypto'
import { open, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { isSystemError } from '../src/errors.ts'
import type { OpenHarness } from './harness.ts'
import { expectError, makeSource, SOURCE, snapshotNames, volumeIds } from './support.ts'

const MIB = 2 ** 20
/** What a snapshot holds, so that a bound on what is shared would show. */
const SHARED = 8 * MIB
const QUOTA = 32 * MIB

export function quotasBoundOneVolume(open: OpenHarness): void {
  describe('a quota', () => {
    test('ends the writing of one volume, and of no other; or is refused', async () => {
      await using world = await open()
      const { driver } = world
      const { path } = await driver.createVolume(SOURCE.volumeId)
      await writeFile(join(path, 'shared'), randomBytes(SHARED), { flush: true })
      await driver.snapshot(SOURCE.volumeId, SOURCE.snapshotId)
      if (!driver.capabilities.quota) {
        await expectError(driver.clone(SOURCE, 'bounded', {}, { quotaBytes: QUOTA }), 'UNAVAILABLE')
        expect(await volumeIds(driver)).toEqual([SOURCE.volumeId])
        return
      }
      const bounded = await driver.clone(SOURCE, 'bounded', {}, { quotaBytes: QUOTA })
      const free = await driver.clone(SOURCE, 'free')
      expect(await written(join(bounded.path, 'file'), QUOTA - 16 * MIB)).toBe(QUOTA - 16 * MIB)
      const own = await written(join(bounded.path, 'more'), 8 * QUOTA)
      expect(own).toBeGreaterThan(0)
      expect(own).toBeLessThan(8 * QUOTA)
      expect(await written(join(free.path, 'file'), 2 * QUOTA)).toBe(2 * QUOTA)
      expect((await driver.volumeUsage('bounded')).quotaBytes).toBe(QUOTA)
      expect((await driver.volumeUsage('free')).quotaBytes).toBeUndefined()
      for (const id of ['bounded', 'free']) await driver.destroyVolume(id)
      expect(await volumeIds(driver)).toEqual([SOURCE.volumeId])
    })

    test('of a volume that used it up keeps it neither from being snapshotted and cloned, nor from going', async ({
      skip,
    }) => {
      await using world = await open()
      const { driver } = world
      if (!driver.capabilities.quota) return skip('the driver has no quotas here')
      await makeSource(driver)
      const { path } = await driver.clone(SOURCE, 'bounded', {}, { quotaBytes: QUOTA })
      expect(await written(join(path, 'file'), 8 * QUOTA)).toBeLessThan(8 * QUOTA)
      await driver.snapshot('bounded', 'full')
      const next = await driver.clone({ volumeId: 'bounded', snapshotId: 'full' }, 'next', {}, { quotaBytes: QUOTA })
      expect(await written(join(next.path, 'another'), MIB)).toBe(MIB)
      await driver.destroyVolume('next')
      await driver.destroySnapshot({ volumeId: 'bounded', snapshotId: 'full' })
      await driver.destroyVolume('bounded')
      expect(await snapshotNames(driver)).toEqual(['source@base'])
    })
  })
}

/** Bytes that could be written, of so many, each piece flushed: what compresses well or waits in memory counts for nothing. */
async function written(path: string, bytes: number): Promise<number> {
  await using file = await open(path, 'w')
  for (let done = 0; done < bytes; done += MIB) {
    try {
      await file.writeFile(randomBytes(MIB))
      await file.sync()
    } catch (error) {
      if (isSystemError(error, 'ENOSPC', 'EDQUOT')) return done
      throw error
    }
  }
  return bytes
}
