import type { Stats } from 'node:fs'
import { access, constants, stat, statfs } from 'node:fs/promises'
import { dirname } from 'node:path'
import { isSystemError, ProvisionError } from '../errors.ts'
import type { PoolUsage } from './driver.ts'

interface Account {
  uid: number
  gid: number
}

/** The path itself, or the nearest directory above it that exists: where it would be made. */
export async function nearestExisting(path: string): Promise<string> {
  try {
    await stat(path)
    return path
  } catch (error) {
    if (!isSystemError(error, 'ENOENT') || dirname(path) === path) throw error
    return nearestExisting(dirname(path))
  }
}

/**
 * Makes sure that we can write to the directory `root`, or make it, and that `owner` can be given files there and reach them.
 *
 * @throws ProvisionError UNAVAILABLE, saying which directory is in the way
 */
export async function checkAccess(root: string, owner: Account): Promise<void> {
  const euid = process.geteuid?.()
  if (euid !== undefined && euid !== 0 && owner.uid !== euid) {
    throw new ProvisionError('UNAVAILABLE', `only root can give files to account ${owner.uid}`, {
      hint: 'Run the server as root, or let it own the data itself.',
    })
  }
  const directory = await nearestExisting(root)
  await checkWritable(directory)
  if (euid !== owner.uid) await checkPassable(directory, owner)
}

async function checkWritable(directory: string): Promise<void> {
  if (!(await stat(directory)).isDirectory()) {
    throw new ProvisionError('UNAVAILABLE', `${directory} is not a directory`, {
      hint: 'Move it away, or choose another data directory.',
    })
  }
  try {
    await access(directory, constants.W_OK | constants.X_OK)
  } catch (error) {
    if (!isSystemError(error, 'EACCES', 'EPERM', 'EROFS')) throw error
    throw new ProvisionError('UNAVAILABLE', `${directory} can't be written to: ${error.message}`, {
      cause: error,
      hint: 'Give it to the account that the server runs as, or choose another data directory.',
    })
  }
}

/** @throws ProvisionError UNAVAILABLE when the account may not pass the directory or one above it. Its other groups don't count. */
export async function checkPassable(directory: string, account: Account): Promise<void> {
  if (dirname(directory) !== directory) await checkPassable(dirname(directory), account)
  const stats = await stat(directory)
  if (account.uid === 0 || (stats.mode & passBit(stats, account)) !== 0) return
  throw new ProvisionError('UNAVAILABLE', `account ${account.uid}, which owns the data, may not pass ${directory}`, {
    hint: `Keep the data elsewhere, or let others pass: chmod o+x ${directory}`,
  })
}

function passBit(stats: Stats, account: Account): number {
  if (stats.uid === account.uid) return 0o100
  return stats.gid === account.gid ? 0o010 : 0o001
}

/** Space and health of the file system that a directory is on, as far as every file system tells. */
export async function fileSystemUsage(directory: string): Promise<PoolUsage> {
  const { bsize, blocks, bfree, bavail } = await statfs(directory)
  const readOnly = await isReadOnly(directory)
  return {
    sizeBytes: blocks * bsize,
    freeBytes: bavail * bsize,
    usedBytes: (blocks - bfree) * bsize,
    compressionRatio: undefined,
    health: readOnly ? 'FAULTED' : 'OK',
    healthDetail: readOnly ? 'the file system is read-only' : '',
  }
}

/** What an ordinary account can still write to the file system that a directory is on. */
export async function freeBytesOf(directory: string): Promise<number> {
  const { bsize, bavail } = await statfs(directory)
  return bavail * bsize
}

async function isReadOnly(directory: string): Promise<boolean> {
  try {
    await access(directory, constants.W_OK)
    return false
  } catch (error) {
    if (isSystemError(error, 'EROFS')) return true
    throw error
  }
}
