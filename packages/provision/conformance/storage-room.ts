import { randomBytes } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import type { OpenHarness } from './harness.ts'
import { expectError, makeSource, SOURCE } from './support.ts'

const MIB = 2 ** 20
const WRITTEN = 48 * MIB

export function whatIsDestroyedGivesItsRoomBack(open: OpenHarness): void {
  describe('the room of what was destroyed', () => {
    test('is there for others once it was waited for', async ({ skip }) => {
      await using world = await open()
      const { driver } = world
      // Others write there too, and a file system may free what was removed when it likes.
      if (!driver.capabilities.ownBytes) return skip('the driver knows nothing of what its file system frees')
      await makeSource(driver)
      const { path } = await driver.clone(SOURCE, 'large')
      await writeFile(join(path, 'large'), randomBytes(WRITTEN), { flush: true })
      await driver.untilFreed()
      const before = await driver.usage()
      await driver.destroyVolume('large')
      await driver.untilFreed()
      expect(before.usedBytes - (await driver.usage()).usedBytes).toBeGreaterThan(WRITTEN - 4 * MIB)
    })

    test('is waited for no longer than it is wanted', async () => {
      await using world = await open()
      const { driver } = world
      await driver.untilFreed(new AbortController().signal)
      const late = driver.untilFreed(AbortSignal.abort())
      // Where there is nothing to wait for, nothing is cut off.
      await late.catch(() => expectError(late, 'ABORTED'))
    })
  })
}
