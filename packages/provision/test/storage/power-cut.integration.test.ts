import { createHash, randomBytes } from 'node:crypto'
import { mkdir, open, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { openStorage, type StorageConfig } from '../../src/storage/open.ts'
import { describeDriver, hasProgram, isRoot, mountedImage } from '../../testbed/index.ts'
import { OWNER } from './world.ts'

const BASE = { volumeId: 'source', snapshotId: 'base' }

const PAIRS = [
  ['copy', 'ext4'],
  ['reflink', 'xfs'],
  ['reflink', 'btrfs'],
  ['btrfs', 'btrfs'],
] as const

for (const [driver, kind] of PAIRS) {
  describeDriver(driver, lacks(kind), () => {
    describe(`what a power cut leaves of the driver ${driver} on ${kind}`, () => {
      test('a volume, a snapshot and a clone that were made are there, whole, under their names', async () => {
        await using world = await openWorld(driver, kind)
        const expected = await contentOf(world.clonePath)
        await world.cutPower()
        const { driver: storage } = await openStorage(world.config)
        expect((await storage.listVolumes()).map(({ id }) => id)).toEqual(['clone', 'source'])
        expect(await storage.listSnapshots()).toEqual([{ ...BASE, labels: {} }])
        expect(await contentOf(world.clonePath)).toEqual(expected)
        const again = await storage.clone(BASE, 'again')
        expect(await contentOf(again.path)).toEqual(expected)
      })

      test('what is said of a volume is there, whether it is short or long', async () => {
        await using world = await openWorld(driver, kind)
        const { driver: storage } = await openStorage(world.config)
        // No file system keeps this one beside what it knows of the file.
        const long = Object.fromEntries([1, 2, 3, 4, 5].map((n) => [`l${n}`, randomBytes(500).toString('hex')]))
        await storage.clone(BASE, 'short', { short: 'a' })
        await storage.clone(BASE, 'long', long)
        await world.cutPower()
        const after = await openStorage(world.config)
        expect(await after.driver.findVolume('short')).toMatchObject({ labels: { short: 'a' } })
        expect(await after.driver.findVolume('long')).toMatchObject({ labels: long })
      })

      test('what was flushed to a clone is in it, among all that it had before', async () => {
        await using world = await openWorld(driver, kind)
        await writeDurably(join(world.clonePath, 'data', '7'), 'r+')
        await writeDurably(join(world.clonePath, 'data', 'new'), 'wx')
        const expected = await contentOf(world.clonePath)
        await world.cutPower()
        const { driver: storage } = await openStorage(world.config)
        expect((await storage.listVolumes()).map(({ id }) => id)).toEqual(['clone', 'source'])
        expect(await contentOf(world.clonePath)).toEqual(expected)
      })
    })
  })
}

function lacks(kind: (typeof PAIRS)[number][1]): string | undefined {
  if (!isRoot) return 'only root can mount a file system'
  if (!hasProgram(`mkfs.${kind}`)) return `there is no mkfs.${kind}`
  return undefined
}

/** A pool with a clone of which nothing has been flushed but what the driver itself flushes. */
async function openWorld(driver: (typeof PAIRS)[number][0], kind: (typeof PAIRS)[number][1]) {
  const image = await mountedImage(kind)
  const config: StorageConfig = { driver, labId: 'lab', root: join(image.directory, 'root'), owner: OWNER }
  const { driver: storage } = await openStorage(config)
  const source = await storage.createVolume(BASE.volumeId)
  await mkdir(join(source.path, 'data', 'deep'), { recursive: true })
  for (let i = 0; i < 40; i++) await writeFile(join(source.path, 'data', `${i}`), randomBytes(i * 5_000))
  await writeFile(join(source.path, 'data', 'deep', 'small'), 'x')
  await storage.snapshot(BASE.volumeId, BASE.snapshotId)
  const clone = await storage.clone(BASE, 'clone')
  return {
    config,
    clonePath: clone.path,
    cutPower: () => image.cutPower(),
    [Symbol.asyncDispose]: () => image[Symbol.asyncDispose](),
  }
}

/** As Postgres does it: the file, and where it is new, its name. */
async function writeDurably(path: string, flags: 'r+' | 'wx'): Promise<void> {
  for (const [at, bytes] of [[path, randomBytes(8192)], [join(path, '..')]] as const) {
    await using file = await open(at, bytes ? flags : 'r')
    if (bytes) await file.write(bytes, 0, bytes.length, 0)
    await file.sync()
  }
}

/** Every path of the tree, with a digest of what is in it where it's a file. */
async function contentOf(directory: string): Promise<Record<string, string>> {
  const content: Record<string, string> = {}
  for (const entry of await readdir(directory, { withFileTypes: true, recursive: true })) {
    const path = join(entry.parentPath, entry.name)
    content[path.slice(directory.length)] = entry.isFile() ? digest(await readFile(path)) : ''
  }
  return content
}

function digest(bytes: Buffer): string {
  return `${bytes.length} ${createHash('sha256').update(bytes).digest('hex')}`
}
