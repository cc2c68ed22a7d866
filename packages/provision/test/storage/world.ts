import { chmod, mkdir, mkdtemp, readdir, readFile, rename, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'vitest'
import type { ForeignSource, ForeignThing, StorageHarness } from '../../conformance/index.ts'
import { failingProgram } from '../../conformance/support.ts'
import { armFaults } from '../../src/faults/faults.ts'
import { btrfsTrees } from '../../src/storage/btrfs/btrfs.ts'
import { CALLS_BY_PROGRAM } from '../../src/storage/btrfs/subvolume-calls.ts'
import { openDirectory } from '../../src/storage/directory.ts'
import type { SnapshotRef } from '../../src/storage/driver.ts'
import { openStorage } from '../../src/storage/open.ts'
import { removeTree } from '../../src/storage/tree.ts'
import { command, isRoot } from '../../testbed/index.ts'

/** Root gives the volumes to an ordinary account (`daemon` on most systems); others keep them. */
export const OWNER = isRoot ? { uid: 1, gid: 1 } : { uid: process.geteuid?.() ?? 0, gid: process.getegid?.() ?? 0 }

type DirectoryDriverName = 'btrfs' | 'reflink' | 'copy'

/** A world in a new directory below this one, for the drivers that keep volumes in a directory. */
export async function directoryWorld(driver: DirectoryDriverName, above: string): Promise<StorageHarness> {
  const top = await mkdtemp(join(above, 'world-'))
  await chmod(top, 0o755)
  const config = { driver, labId: 'lab', root: join(top, 'root'), owner: OWNER }
  const opened = await openStorage(config)
  return {
    driver: opened.driver,
    config,
    ...rootHarness(driver, config.root),
    [Symbol.asyncDispose]: () => removeAll(driver, top),
  }
}

/** The same where the kernel is asked by the program `btrfs`. */
export async function btrfsProgramWorld(above: string): Promise<StorageHarness> {
  const world = await directoryWorld('btrfs', above)
  const { driver } = await openDirectory(world.config, btrfsTrees(undefined, undefined, CALLS_BY_PROGRAM))
  return { ...world, driver }
}

/** What the suite needs of a root directory: the same for all the drivers that have one. */
export function rootHarness(driver: DirectoryDriverName, root: string) {
  const [volumes, snapshots] = [join(root, 'volumes'), join(root, 'snapshots')]
  return {
    ...(driver === 'btrfs' && { failMaking: failBtrfs }),
    failLists: () => moveAway([volumes, snapshots]),
    plantVolume: (id: string) => plantDirectory(join(volumes, id)),
    plantSnapshot: ({ volumeId, snapshotId }: SnapshotRef) =>
      plantDirectory(join(snapshots, `${volumeId}@${snapshotId}`)),
    plantTree: () => plantTree(driver, join(root, 'theirs')),
    content: async () => [...(await readdir(volumes)), ...(await readdir(snapshots))].sort(),
  }
}

/** The program, and the calls to the kernel that take its place. */
async function failBtrfs(): Promise<AsyncDisposable> {
  const failing = await failingProgram('btrfs', ['create', 'snapshot'])
  const fault = { point: 'after btrfs subvolume snapshot', action: 'throw' } as const
  armFaults({ faults: [fault, fault] })
  return {
    async [Symbol.asyncDispose]() {
      armFaults(undefined)
      await failing[Symbol.asyncDispose]()
    },
  }
}

/** What is not there any more can't be listed, and must not be taken for empty. */
async function moveAway(paths: string[]): Promise<AsyncDisposable> {
  for (const path of paths) await rename(path, `${path}-away`)
  return {
    async [Symbol.asyncDispose]() {
      for (const path of paths) await rename(`${path}-away`, path)
    },
  }
}

/** Looks like one of ours, but for its label. */
async function plantDirectory(path: string): Promise<ForeignThing> {
  await mkdir(join(path, 'files'), { recursive: true })
  await writeFile(join(path, 'files', 'file'), 'theirs')
  await writeFile(join(path, 'label.json'), '{"lab": "lab", "kind": "something else"}')
  return {
    async expectIntact() {
      expect((await readdir(path)).sort()).toEqual(['files', 'label.json'])
      expect(await readFile(join(path, 'files', 'file'), 'utf8')).toBe('theirs')
    },
  }
}

/** Beside what is the lab's; a subvolume where the driver knows such. */
async function plantTree(driver: DirectoryDriverName, above: string): Promise<ForeignSource> {
  const name = join(above, 'tree')
  await mkdir(above)
  await (driver === 'btrfs' ? command('btrfs', 'subvolume', 'create', name) : mkdir(name))
  await writeFile(join(name, 'file'), 'theirs')
  const { mode, uid } = await stat(name)
  return {
    ...{ name, above },
    async expectIntact() {
      expect(await readdir(name)).toEqual(['file'])
      expect(await readFile(join(name, 'file'), 'utf8')).toBe('theirs')
      expect(await stat(name)).toMatchObject({ mode, uid })
    },
  }
}

/** Removes a tree whatever driver made it: a read-only subvolume keeps what is in it from `rm`. */
async function removeAll(driver: DirectoryDriverName, top: string): Promise<void> {
  const snapshots = join(top, 'root', 'snapshots')
  const names = driver === 'btrfs' ? await readdir(snapshots) : []
  for (const name of names) await btrfsTrees().remove(join(snapshots, name, 'files'))
  await removeTree(top)
}
