import { readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import type { OpenHarness } from './harness.ts'
import { expectError, makeSource, SOURCE } from './support.ts'

export function foreignTreesAreCloned(open: OpenHarness): void {
  describe('trees of others in the pool', () => {
    test('a volume begins with one, and what is done to it does not show there', async ({ skip }) => {
      await using world = await open()
      const { driver } = world
      if (!driver.capabilities.foreignTrees) return skip('the driver copies them')
      const tree = await world.plantTree()
      const [found, ...others] = await driver.listForeign(tree.name)
      expect([found?.name, others]).toEqual([tree.name, []])
      expect(Math.abs((found?.createdAt.getTime() ?? 0) - Date.now())).toBeLessThan(60_000)
      expect(await driver.listForeign(tree.above)).toEqual([found])
      const volume = await driver.cloneForeign(tree.name, 'taken', { note: 'x' })
      expect(volume).toEqual({
        id: 'taken',
        path: expect.stringMatching(/^\//),
        origin: undefined,
        labels: { note: 'x' },
      })
      expect(await driver.listVolumes()).toEqual([volume])
      const { mode, uid, gid } = await stat(volume.path)
      expect({ mode: mode & 0o7777, uid, gid }).toEqual({ mode: 0o700, ...world.config.owner })
      expect(await readFile(join(volume.path, 'file'), 'utf8')).toBe('theirs')
      await writeFile(join(volume.path, 'file'), 'mine')
      await tree.expectIntact()
      await driver.snapshot('taken', 'base')
      const clone = await driver.clone({ volumeId: 'taken', snapshotId: 'base' }, 'child')
      expect(await readFile(join(clone.path, 'file'), 'utf8')).toBe('mine')
      await driver.destroyVolume('child')
      await driver.destroySnapshot({ volumeId: 'taken', snapshotId: 'base' })
      await driver.destroyVolume('taken')
      expect(await world.content()).toEqual([])
      await tree.expectIntact()
    })

    test('one that is not there, or is the lab’s own, is refused, and nothing is left', async ({ skip }) => {
      await using world = await open()
      const { driver } = world
      if (!driver.capabilities.foreignTrees) return skip('the driver copies them')
      const tree = await world.plantTree()
      for (const name of [`${tree.above}/absent`, `${tree.name}-absent`]) {
        await expectError(driver.listForeign(name), 'NOT_FOUND')
        await expectError(driver.cloneForeign(name, 'taken'), 'NOT_FOUND')
      }
      await makeSource(driver)
      const { dataset } = world.config
      const [source] = await driver.listVolumes()
      const own = dataset === undefined ? [source?.path ?? ''] : [`${dataset}/source`, `${dataset}/source@base`]
      await expectError(driver.cloneForeign(tree.name, SOURCE.volumeId), 'ALREADY_EXISTS')
      for (const name of ['', '-r', ...own]) {
        await expectError(driver.listForeign(name), 'INVALID')
        await expectError(driver.cloneForeign(name, 'taken'), 'INVALID')
      }
      expect(await world.content()).toEqual(['source', 'source@base'])
      await tree.expectIntact()
    })

    test('where the driver has no such thing, it is UNAVAILABLE', async ({ skip }) => {
      await using world = await open()
      const { driver } = world
      if (driver.capabilities.foreignTrees) return skip('the driver has it')
      const tree = await world.plantTree()
      await expectError(driver.listForeign(tree.name), 'UNAVAILABLE')
      await expectError(driver.cloneForeign(tree.name, 'taken'), 'UNAVAILABLE')
      expect(await world.content()).toEqual([])
    })
  })
}
