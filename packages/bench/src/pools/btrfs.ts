import { mkdir, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { openSubvolumeCalls } from '@dblab/provision/testbed/subvolumes'
import { execa } from 'execa'
import type { Pool, SnapshotCall } from './pool.ts'

/** A sparse file takes only what is written to it. */
const IMAGE_SIZE = '40GB'

/**
 * The embedded pool that a lab makes in its directory.
 *
 * @param root where it is mounted
 */
export function btrfsPool(root: string): Pool {
  const bare = join(root, 'bare')
  const pathOf = (name: string) => join(bare, name)
  const sourceOf = (snapshotId: string) => snapshotFiles(root, snapshotId)
  return {
    driver: 'btrfs',
    storage: { driver: 'btrfs', imageSize: IMAGE_SIZE },
    snapshotName: 'BTRFS_IOC_SNAP_CREATE_V2, as the lab makes it',
    open: async () => void (await mkdir(bare, { mode: 0o711, recursive: true })),
    sourceOf,
    snapshot: snapshotCall(pathOf),
    sourceOfVolume: async (name) => pathOf(name),
    create: (name) => btrfs('subvolume', 'create', pathOf(name)),
    pathOf,
    filesOf: sourceOf,
    remove: (name) => btrfs('subvolume', 'delete', pathOf(name)),
    async settle() {
      await btrfs('filesystem', 'sync', root)
      await btrfs('subvolume', 'sync', root)
      // What the removed subvolumes alone held is given back by the commit after that.
      await btrfs('filesystem', 'sync', root)
    },
    async ownBytes(path) {
      const { stdout } = await execa('btrfs', ['filesystem', 'du', '-s', '--raw', path])
      return exclusiveBytes(stdout)
    },
    async used() {
      const { stdout } = await execa('btrfs', ['filesystem', 'df', '--raw', root])
      return usedBytes(stdout)
    },
    [Symbol.asyncDispose]: async () => {},
  }
}

function snapshotCall(pathOf: (name: string) => string): SnapshotCall {
  const calls = openSubvolumeCalls()
  return (source, target) => calls.snapshot(source, pathOf(target), false)
}

/** The lab names a snapshot's directory by its volume, `@` and its id. */
async function snapshotFiles(root: string, snapshotId: string): Promise<string> {
  const names = await readdir(join(root, 'snapshots'))
  const found = names.find((name) => name.endsWith(`@${snapshotId}`))
  if (found === undefined) throw new Error(`there is no snapshot ${snapshotId} in the pool`)
  return join(root, 'snapshots', found, 'files')
}

async function btrfs(...args: string[]): Promise<void> {
  await execa('btrfs', args)
}

/** Of `btrfs filesystem du -s --raw`: a line of titles, then total, exclusive, set shared and the path. */
export function exclusiveBytes(output: string): number {
  const fields = output.trim().split('\n').at(-1)?.trim().split(/\s+/) ?? []
  const bytes = Number(fields[1])
  if (fields.length < 4 || !Number.isFinite(bytes))
    throw new Error('btrfs filesystem du does not say what is exclusive')
  return bytes
}

/** Of `btrfs filesystem df --raw`: `Metadata, DUP: total=268435456, used=1245184`, which counts a block once however often it is kept. */
export function usedBytes(output: string): { data: number; metadata: number } {
  const of = (kind: string) => {
    const used = new RegExp(`^${kind}, \\w+: total=\\d+, used=(\\d+)$`, 'm').exec(output)?.[1]
    if (used === undefined) throw new Error(`btrfs filesystem df does not say what the ${kind.toLowerCase()} takes`)
    return Number(used)
  }
  return { data: of('Data'), metadata: of('Metadata') }
}
