import { randomBytes } from 'node:crypto'
import { open as openFile, readdir, readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test, vi } from 'vitest'
import type { OpenHarness } from './harness.ts'
import { expectError, makeSource, reopened, SOURCE, snapshotNames, volumeIds } from './support.ts'

const MIB = 1024 * 1024

/** On a kernel within the kernel each program takes a second. */
const MANY = process.env.ZFS_VM ? 10 : 50

export function clonesAreCopiesOfTheirOwn(open: OpenHarness): void {
  describe('volumes, snapshots and clones', () => {
    test('the driver finds all it needs, and an empty pool lists nothing', async () => {
      await using world = await open()
      await world.driver.check()
      expect(await world.driver.listVolumes()).toEqual([])
      expect(await world.driver.listSnapshots()).toEqual([])
    })

    test('a fresh volume is empty, writable and its owner’s alone', async () => {
      await using world = await open()
      const volume = await world.driver.createVolume('fresh')
      expect(volume).toEqual({ id: 'fresh', path: expect.stringMatching(/^\//), origin: undefined, labels: {} })
      expect(await readdir(volume.path)).toEqual([])
      const { mode, uid, gid } = await stat(volume.path)
      expect({ mode: mode & 0o7777, uid, gid }).toEqual({ mode: 0o700, ...world.config.owner })
      await writeFile(join(volume.path, 'file'), 'x')
      expect(await readdir(volume.path)).toEqual(['file'])
    })

    test('a clone has the snapshot’s bytes, and what is written to it stays its own', async () => {
      await using world = await open()
      await makeSource(world.driver)
      const one = await world.driver.clone(SOURCE, 'one')
      const two = await world.driver.clone(SOURCE, 'two')
      expect(one.origin).toEqual(SOURCE)
      expect(await readFile(join(one.path, 'file'), 'utf8')).toBe('from the source')
      await writeFile(join(one.path, 'file'), 'written to one')
      await writeFile(join(one.path, 'new'), 'of one')
      expect(await readFile(join(two.path, 'file'), 'utf8')).toBe('from the source')
      expect(await readdir(two.path)).toEqual(['file'])
    })

    test('a snapshot is not moved by what is written later', async () => {
      await using world = await open()
      await makeSource(world.driver)
      const [source] = await world.driver.listVolumes()
      await writeFile(join(source?.path ?? '', 'file'), 'changed later')
      await world.driver.snapshot(SOURCE.volumeId, 'later')
      const early = await world.driver.clone(SOURCE, 'early')
      const late = await world.driver.clone({ ...SOURCE, snapshotId: 'later' }, 'late')
      expect(await readFile(join(early.path, 'file'), 'utf8')).toBe('from the source')
      expect(await readFile(join(late.path, 'file'), 'utf8')).toBe('changed later')
    })

    test('a clone can be snapshotted and cloned in its turn', async () => {
      await using world = await open()
      await makeSource(world.driver)
      const child = await world.driver.clone(SOURCE, 'child')
      await writeFile(join(child.path, 'file'), 'from the child')
      await world.driver.snapshot('child', 'base')
      const grandchild = await world.driver.clone({ volumeId: 'child', snapshotId: 'base' }, 'grandchild')
      expect(await readFile(join(grandchild.path, 'file'), 'utf8')).toBe('from the child')
      expect(await volumeIds(world.driver)).toEqual(['child', 'grandchild', 'source'])
      expect(await snapshotNames(world.driver)).toEqual(['child@base', 'source@base'])
    })

    test('what is in use is not destroyed, and the error names what uses it', async () => {
      await using world = await open()
      await makeSource(world.driver)
      await world.driver.clone(SOURCE, 'child')
      await expectError(world.driver.destroyVolume('source'), 'IN_USE', ['source@base'])
      await expectError(world.driver.destroySnapshot(SOURCE), 'IN_USE', ['child'])
      expect(await volumeIds(world.driver)).toEqual(['child', 'source'])
      expect(await snapshotNames(world.driver)).toEqual(['source@base'])
    })

    test('unused things go, one after the other, and destroying them twice is fine', async () => {
      await using world = await open()
      await makeSource(world.driver)
      await world.driver.clone(SOURCE, 'child')
      for (const _ of ['once', 'twice']) await world.driver.destroyVolume('child')
      for (const _ of ['once', 'twice']) await world.driver.destroySnapshot(SOURCE)
      for (const _ of ['once', 'twice']) await world.driver.destroyVolume('source')
      expect(await world.content()).toEqual([])
    })

    test('an id can be used again once it is free', async () => {
      await using world = await open()
      const before = await world.driver.createVolume('again')
      await writeFile(join(before.path, 'file'), 'x')
      await world.driver.destroyVolume('again')
      const after = await world.driver.createVolume('again')
      expect(await readdir(after.path)).toEqual([])
    })

    test('what is not there is NOT_FOUND', async () => {
      await using world = await open()
      await world.driver.createVolume('empty')
      await expectError(world.driver.clone(SOURCE, 'child'), 'NOT_FOUND')
      await expectError(world.driver.clone({ volumeId: 'empty', snapshotId: 'none' }, 'child'), 'NOT_FOUND')
      await expectError(world.driver.snapshot('source', 'base'), 'NOT_FOUND')
      await expectError(world.driver.volumeUsage('source'), 'NOT_FOUND')
      await world.driver.destroyVolume('source')
      await world.driver.destroySnapshot(SOURCE)
      expect(await world.content()).toEqual(['empty'])
    })

    test('a volume is found by its id as it is listed, and none that is gone, foreign or another lab’s', async () => {
      await using world = await open()
      await makeSource(world.driver)
      await world.driver.clone(SOURCE, 'child', { note: 'x' })
      await world.plantVolume('theirs')
      await (await reopened({ ...world.config, labId: 'other-lab' })).createVolume('other')
      const listed = await world.driver.listVolumes()
      expect([await world.driver.findVolume('child'), await world.driver.findVolume('source')]).toEqual(listed)
      expect(await (await reopened(world.config)).findVolume('child')).toEqual(listed[0])
      await world.driver.destroyVolume('child')
      for (const id of ['child', 'theirs', 'other', 'none'])
        expect(await world.driver.findVolume(id), id).toBeUndefined()
    })

    test('many clones can be made and destroyed at once', async () => {
      await using world = await open()
      await makeSource(world.driver)
      const ids = Array.from({ length: MANY }, (_, i) => `clone-${i}`)
      const clones = await Promise.all(ids.map((id) => world.driver.clone(SOURCE, id)))
      await Promise.all(clones.map(({ id, path }) => writeFile(join(path, 'file'), id)))
      for (const { id, path } of clones) expect(await readFile(join(path, 'file'), 'utf8')).toBe(id)
      expect(await volumeIds(world.driver)).toEqual([...ids, 'source'].sort())
      await Promise.all(ids.map((id) => world.driver.destroyVolume(id)))
      expect(await world.content()).toEqual(['source', 'source@base'])
    })

    test('another driver object sees it all', async () => {
      await using world = await open()
      await makeSource(world.driver)
      const clone = await world.driver.clone(SOURCE, 'child', { note: 'x' })
      await writeFile(join(clone.path, 'own'), 'of the child')
      const other = await reopened(world.config)
      expect(await other.listVolumes()).toEqual(await world.driver.listVolumes())
      expect(await other.listSnapshots()).toEqual(await world.driver.listSnapshots())
      expect(await readFile(join(clone.path, 'own'), 'utf8')).toBe('of the child')
      await expectError(other.destroySnapshot(SOURCE), 'IN_USE', ['child'])
      await other.clone(SOURCE, 'second')
      await other.destroyVolume('child')
      expect(await volumeIds(world.driver)).toEqual(['second', 'source'])
    })

    test('the usage of the pool adds up', async () => {
      await using world = await open()
      const usage = await world.driver.usage()
      expect(usage.sizeBytes).toBeGreaterThan(0)
      expect(usage.freeBytes).toBeGreaterThan(0)
      expect(usage.freeBytes + usage.usedBytes).toBeLessThanOrEqual(usage.sizeBytes)
      expect(usage.compressionRatio ?? 1).toBeGreaterThanOrEqual(1)
      expect(usage.health).toBe('OK')
      // Others write to the same file system, and room that was freed comes back late.
      expect(Math.abs((await world.driver.freeBytes()) - usage.freeBytes) / usage.sizeBytes).toBeLessThan(0.1)
    })

    test('the usage of a clone grows with what is written to it', async () => {
      await using world = await open()
      const source = await world.driver.createVolume('source')
      await writeRandom(join(source.path, 'big'), 8 * MIB)
      await world.driver.snapshot('source', 'base')
      const clone = await world.driver.clone(SOURCE, 'child')
      // Whether of data or of metadata: file systems may take seconds to count what was written.
      const waiting = { timeout: 60_000, interval: 500 }
      await vi.waitFor(async () => {
        const { ownBytes } = await world.driver.volumeUsage('child')
        const logicalBytes = await world.driver.logicalBytes('child')
        expect(logicalBytes).toBeGreaterThanOrEqual(8 * MIB)
        if (world.driver.capabilities.ownBytes) expect(ownBytes).toBeLessThan(MIB)
        else expect(ownBytes).toBe(logicalBytes)
      }, waiting)
      await writeRandom(join(clone.path, 'own'), 4 * MIB)
      await vi.waitFor(async () => {
        const { ownBytes } = await world.driver.volumeUsage('child')
        expect(await world.driver.logicalBytes('child')).toBeGreaterThanOrEqual(12 * MIB)
        expect(ownBytes).toBeGreaterThanOrEqual(4 * MIB)
        if (world.driver.capabilities.ownBytes) expect(ownBytes).toBeLessThan(6 * MIB)
      }, waiting)
    })

    test('what a clone has written over counts as its own, until a snapshot of it has it too', async () => {
      await using world = await open()
      if (!world.driver.capabilities.ownBytes) return
      const source = await world.driver.createVolume('source')
      await writeRandom(join(source.path, 'big'), 8 * MIB)
      await world.driver.snapshot('source', 'base')
      const clone = await world.driver.clone(SOURCE, 'child')
      await writeOver(join(clone.path, 'big'), 2 * MIB)
      await writeOver(join(clone.path, 'big'), 2 * MIB)
      const waiting = { timeout: 60_000, interval: 500 }
      const holds = async (from: number, below: number) => {
        const { ownBytes } = await world.driver.volumeUsage('child')
        expect(ownBytes).toBeGreaterThanOrEqual(from * MIB)
        expect(ownBytes).toBeLessThan(below * MIB)
      }
      await vi.waitFor(() => holds(2, 4), waiting)
      await world.driver.snapshot('child', 'kept')
      await vi.waitFor(() => holds(0, 1), waiting)
      await writeRandom(join(clone.path, 'own'), 3 * MIB)
      await vi.waitFor(() => holds(3, 5), waiting)
      await world.driver.destroySnapshot({ volumeId: 'child', snapshotId: 'kept' })
      await vi.waitFor(() => holds(3, 7), waiting)
    })
  })
}

async function writeOver(path: string, bytes: number): Promise<void> {
  await using file = await openFile(path, 'r+')
  for (let at = 0; at < bytes; at += MIB) await file.write(randomBytes(MIB), 0, MIB, at)
  await file.sync()
}

async function writeRandom(path: string, bytes: number): Promise<void> {
  await using file = await openFile(path, 'wx')
  for (let left = bytes; left > 0; left -= MIB) await file.write(randomBytes(MIB))
  await file.sync()
}
