import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect } from 'vitest'
import type { ForeignThing, StorageHarness } from '../../conformance/index.ts'
import { searchPath } from '../../src/exec.ts'
import { btrfsTrees } from '../../src/storage/btrfs/btrfs.ts'
import type { SnapshotRef } from '../../src/storage/driver.ts'
import { openStorage } from '../../src/storage/open.ts'
import { removeTree } from '../../src/storage/tree.ts'

export const isRoot = process.geteuid?.() === 0

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

/** What the suite needs of a root directory: the same for all the drivers that have one. */
export function rootHarness(driver: DirectoryDriverName, root: string) {
  const [volumes, snapshots] = [join(root, 'volumes'), join(root, 'snapshots')]
  return {
    ...(driver === 'btrfs' && { program: driver }),
    plantVolume: (id: string) => plantDirectory(join(volumes, id)),
    plantSnapshot: ({ volumeId, snapshotId }: SnapshotRef) =>
      plantDirectory(join(snapshots, `${volumeId}@${snapshotId}`)),
    content: async () => [...(await readdir(volumes)), ...(await readdir(snapshots))].sort(),
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

/** Removes a tree whatever driver made it: a read-only subvolume keeps what is in it from `rm`. */
async function removeAll(driver: DirectoryDriverName, top: string): Promise<void> {
  const snapshots = join(top, 'root', 'snapshots')
  const names = driver === 'btrfs' ? await readdir(snapshots) : []
  for (const name of names) await btrfsTrees().remove(join(snapshots, name, 'files'))
  await removeTree(top)
}

export interface MountedImage extends AsyncDisposable {
  directory: string
}

/** A file system of this kind in a file, mounted. Root only. */
export async function mountedImage(kind: 'xfs' | 'btrfs' | 'ext4', options = 'loop'): Promise<MountedImage> {
  const top = await mkdtemp(join(tmpdir(), `${kind}-`))
  await chmod(top, 0o755)
  const [image, directory] = [join(top, 'image'), join(top, 'mounted')]
  await mkdir(directory)
  await command('truncate', '--size=2G', image)
  await command(`mkfs.${kind}`, '-q', image)
  await command('mount', '-o', options, image, directory)
  return {
    directory,
    async [Symbol.asyncDispose]() {
      await command('umount', directory)
      await rm(top, { recursive: true })
    },
  }
}

export async function command(program: string, ...args: string[]): Promise<string> {
  const { stdout } = await promisify(execFile)(program, args, {
    env: { ...process.env, PATH: searchPath(), LC_ALL: 'C' },
  })
  return stdout
}

export function hasProgram(name: string): boolean {
  return searchPath()
    .split(':')
    .some((directory) => existsSync(join(directory, name)))
}
