import { lstat, readdir, realpath } from 'node:fs/promises'
import { isAbsolute, join } from 'node:path'
import { ProvisionError } from '../../errors.ts'
import { CommandError, run } from '../../exec.ts'
import type { ForeignTree } from '../driver.ts'
import { notFound } from '../report.ts'
import { orGone } from '../tree.ts'
import { parseCreationTime } from './output.ts'

/** BTRFS_FIRST_FREE_OBJECTID: the inode number of the root directory of every subvolume, and of no other directory. */
export const SUBVOLUME_INODE = 256

/** Subvolumes that others have made: the one at this path, or those in the directory there. */
export async function listSubvolumes(name: string, root: string): Promise<ForeignTree[]> {
  const path = await foreignPath(name, root)
  const paths = (await isSubvolume(path)) ? [path] : (await readdir(path)).map((entry) => join(path, entry))
  const found: ForeignTree[] = []
  for (const one of paths) if (await isSubvolume(one)) found.push({ name: one, createdAt: await creationTime(one) })
  return found.sort((a, b) => a.createdAt.getTime() - b.createdAt.getTime())
}

/** Read-only ones too: the clone is not. */
export async function cloneSubvolume(name: string, to: string, root: string): Promise<void> {
  const path = await foreignPath(name, root)
  if (!(await isSubvolume(path))) throw notFound('subvolume', name)
  try {
    await run(['btrfs', 'subvolume', 'snapshot', path, to])
  } catch (error) {
    if (!(error instanceof CommandError) || !/cross-device link/i.test(error.stderr)) throw error
    throw new ProvisionError('INVALID', `${name} lies on another file system than the pool`, {
      cause: error,
      hint: 'Send it into the pool (btrfs send, btrfs receive), or have it copied.',
    })
  }
}

async function foreignPath(name: string, root: string): Promise<string> {
  if (!isAbsolute(name)) throw new ProvisionError('INVALID', 'a subvolume is named by its absolute path')
  const path = await orGone(realpath(name))
  if (path === undefined || !(await lstat(path)).isDirectory()) throw notFound('subvolume', name)
  const pool = await realpath(root)
  const isOwn = ['volumes', 'snapshots'].some((shelf) => isIn(path, join(pool, shelf)))
  if (isOwn || isIn(pool, path)) {
    throw new ProvisionError('INVALID', `${name} ${isOwn ? "is a lab's own" : 'has the lab itself in it'}`, {
      hint: 'Name a subvolume that is not in the directories of the lab, nor above them.',
    })
  }
  return path
}

function isIn(path: string, directory: string): boolean {
  return path === directory || path.startsWith(directory === '/' ? directory : `${directory}/`)
}

async function isSubvolume(path: string): Promise<boolean> {
  const stats = await lstat(path)
  return stats.isDirectory() && stats.ino === SUBVOLUME_INODE
}

async function creationTime(path: string): Promise<Date> {
  return parseCreationTime((await run(['btrfs', 'subvolume', 'show', path])).stdout)
}
