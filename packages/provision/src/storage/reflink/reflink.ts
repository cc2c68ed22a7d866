import { randomBytes } from 'node:crypto'
import { constants, copyFile, rm, statfs, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { isSystemError, ProvisionError } from '../../errors.ts'
import type { StorageConfig, StoragePool } from '../config.ts'
import { openDirectory } from '../directory.ts'
import { plainTrees } from '../plain-trees.ts'

/** More than a file system keeps in its metadata, and a whole number of blocks: 4 to 64 KiB of them. */
const PROBE_BYTES = 64 * 1024
/** XFS_SUPER_MAGIC: what statfs(2) says of every XFS. */
const XFS_MAGIC = 0x58465342

/** Files that share their blocks (ioctl_ficlone(2)): a call for each file, but no bytes are moved. */
export function openReflink(config: StorageConfig): Promise<StoragePool> {
  return openDirectory(
    config,
    plainTrees('reflink', {
      check,
      sharesBlocks: true,
      copyFile: shareBlocks,
      isFlushedWithItsName: writesMetadataInOrder,
    }),
  )
}

async function check(directory: string): Promise<void> {
  const source = join(directory, `.dblab-probe~${randomBytes(8).toString('hex')}`)
  try {
    await writeFile(source, Buffer.alloc(PROBE_BYTES, 1), { flag: 'wx', mode: 0o600 })
    await shareBlocks(source, `${source}~`)
  } catch (error) {
    // What file systems without it answer: ENOTSUP as a rule; the others are ioctl(2)'s for "not this kind of file".
    if (!isSystemError(error, 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'ENOTTY', 'EINVAL', 'EXDEV')) throw error
    throw new ProvisionError('UNAVAILABLE', `the file system of ${directory} can't share blocks between files`, {
      cause: error,
      hint: 'Keep the data on XFS, btrfs, bcachefs or, on macOS, APFS.',
    })
  } finally {
    await rm(source, { force: true })
    await rm(`${source}~`, { force: true })
  }
}

/** FORCE, so that it fails rather than copy. `cp` and `cpSync` would copy all the same. */
async function shareBlocks(from: string, to: string): Promise<void> {
  await copyFile(from, to, constants.COPYFILE_FICLONE_FORCE | constants.COPYFILE_EXCL)
}

/**
 * The blocks of a clone are on disk with the snapshot that it shares them with; what is new is metadata. XFS logs that in the order in
 * which it changes, and APFS commits it in whole transactions, so what is flushed later takes it along. btrfs does not: a name is logged
 * there without the file's blocks.
 */
async function writesMetadataInOrder(path: string): Promise<boolean> {
  return process.platform === 'darwin' || (await statfs(path)).type === XFS_MAGIC
}
