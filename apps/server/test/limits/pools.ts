import { mkdir, mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  type Ballast,
  ballastIn,
  command,
  hasProgram,
  isRoot,
  mountedImage,
  smallZpool,
} from '@dblab/provision/testbed'
import type { TestLabOptions } from '../support/lab.ts'

/** A pool so small that a test can fill it. */
export interface SmallPool extends Ballast, AsyncDisposable {
  /** What a lab is made with to have it. */
  options: TestLabOptions
  /** Everything that is kept there for a lab: volumes and snapshots, half made ones too. */
  content(): Promise<string[]>
}

/** Why a file system can't be tested here; undefined when it can. */
export function lacksFileSystem(kind: 'btrfs' | 'xfs'): string | undefined {
  if (process.env.ZFS_VM) return 'the kernel of the runner for OpenZFS has no other'
  return isRoot && hasProgram(`mkfs.${kind}`) ? undefined : `root and mkfs.${kind} are needed`
}

/** So that the storage itself has to refuse. */
export const UNGUARDED = { criticalFreePercent: 0, lowFreePercent: 0 }

/** The embedded pool of btrfs, in a directory of its own on the host's disk. */
export async function smallBtrfs(storage: object = UNGUARDED, config: object = {}): Promise<SmallPool> {
  const directory = await mkdtemp(join(tmpdir(), 'dblab-full-'))
  const root = join(directory, '.dblab/pool')
  return {
    options: { driver: 'btrfs', directory, config: { ...config, storage: { imageSize: '700MB', ...storage } } },
    ...ballastIn(root),
    content: () => shelves(root),
    [Symbol.asyncDispose]: () => rm(directory, { recursive: true }),
  }
}

/** XFS, with everything of the lab on it: its catalogue, its logs and its sockets too. */
export async function smallXfs(): Promise<SmallPool> {
  const image = await mountedImage('xfs')
  const directory = join(image.directory, 'lab')
  await mkdir(directory)
  return {
    options: { driver: 'reflink', directory, config: { storage: UNGUARDED } },
    ...ballastIn(image.directory),
    content: () => shelves(join(directory, '.dblab/pool')),
    [Symbol.asyncDispose]: () => image[Symbol.asyncDispose](),
  }
}

export async function smallZfs(config: object = {}): Promise<SmallPool> {
  const pool = await smallZpool()
  const dataset = `${pool.name}/lab`
  return {
    ...pool,
    options: { driver: 'zfs', config: { ...config, storage: { dataset, ...UNGUARDED } } },
    async content() {
      const names = await command('zfs', 'list', '-Hr', '-o', 'name', '-t', 'all', dataset)
      return names.split('\n').filter((name) => name.startsWith(`${dataset}/`))
    },
  }
}

async function shelves(root: string): Promise<string[]> {
  return [...(await readdir(join(root, 'volumes'))), ...(await readdir(join(root, 'snapshots')))]
}
