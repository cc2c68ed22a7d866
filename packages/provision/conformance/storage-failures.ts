import { readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import type { StorageDriver } from '../src/storage/driver.ts'
import { isSlow } from '../testbed/index.ts'
import { crash } from './crash.ts'
import type { OpenHarness } from './harness.ts'
import { expectError, makeSource, reopened, SOURCE, snapshotNames, volumeIds } from './support.ts'

/** Milliseconds after its start at which a process that works on the pool is killed: somewhere in the middle of something. */
const CRASHES_AFTER_MS = isSlow ? [45, 130] : [15, 45, 80, 130]

export function failuresLeaveNothing(open: OpenHarness): void {
  describe('failures', () => {
    test('what fails after it has done its work leaves nothing behind', async ({ skip }) => {
      await using world = await open()
      if (!world.failMaking) return skip('the driver makes all itself')
      await makeSource(world.driver)
      {
        await using _failing = await world.failMaking()
        await expectError(world.driver.createVolume('child'), 'FAILED')
        await expectError(world.driver.clone(SOURCE, 'child'), 'FAILED')
        await expectError(world.driver.snapshot('source', 'other'), 'FAILED')
      }
      expect(await world.content()).toEqual(['source', 'source@base'])
      await world.driver.clone(SOURCE, 'child')
      await world.driver.snapshot('source', 'other')
    })

    test('a list that fails throws, and is whole again afterwards', async () => {
      await using world = await open()
      await makeSource(world.driver)
      {
        await using _failing = await world.failLists()
        await expectError(world.driver.listVolumes(), 'FAILED')
        await expectError(world.driver.listSnapshots(), 'FAILED')
      }
      expect(await volumeIds(world.driver)).toEqual(['source'])
      expect(await snapshotNames(world.driver)).toEqual(['source@base'])
    })

    test('after a crash in the middle of its work the pool is whole, and nothing half made is left', async () => {
      await using world = await open()
      await makeSource(world.driver)
      const [source] = await world.driver.listVolumes()
      for (let i = 0; i < 100; i++) await writeFile(join(source?.path ?? '', `file-${i}`), `${i}`)
      await world.driver.destroySnapshot(SOURCE)
      await world.driver.snapshot(SOURCE.volumeId, SOURCE.snapshotId)
      for (const afterMs of CRASHES_AFTER_MS) {
        await crash(world.config, afterMs)
        const driver = await reopened(world.config)
        await expectWhole(driver)
        expect(await world.content()).toEqual([...(await volumeIds(driver)), ...(await snapshotNames(driver))].sort())
      }
      await destroyAllButSource(world.driver)
      expect(await world.content()).toEqual(['source', 'source@base'])
    })
  })
}

async function expectWhole(driver: StorageDriver): Promise<void> {
  for (const { id, origin, path } of await driver.listVolumes()) {
    expect(await readdir(path), id).toHaveLength(origin || id === SOURCE.volumeId ? 101 : 0)
    if (origin) expect(await readFile(join(path, 'file-99'), 'utf8')).toBe('99')
  }
  const clone = await driver.clone(SOURCE, 'after')
  expect(await readdir(clone.path)).toHaveLength(101)
  await driver.destroyVolume('after')
  for (const { volumeId, snapshotId } of await driver.listSnapshots()) {
    const again = await driver.clone({ volumeId, snapshotId }, 'after')
    expect(await readdir(again.path)).toHaveLength(101)
    await driver.destroyVolume('after')
  }
}

async function destroyAllButSource(driver: StorageDriver): Promise<void> {
  for (const snapshot of await driver.listSnapshots()) {
    if (snapshot.volumeId !== SOURCE.volumeId) await driver.destroySnapshot(snapshot)
  }
  for (const id of await volumeIds(driver)) if (id !== SOURCE.volumeId) await driver.destroyVolume(id)
}
