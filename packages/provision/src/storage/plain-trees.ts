import { mkdir } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { ProvisionError } from '../errors.ts'
import { fileSystemUsage, freeBytesOf } from './access.ts'
import { type CopyFile, copyTree, logicalBytes, removeTree, syncTree } from './tree.ts'
import type { Trees } from './trees.ts'

export interface PlainTreesOptions {
  check: Trees['check']
  /** False where `copyFile` copies every byte. */
  sharesBlocks: boolean
  /** How one file becomes two. */
  copyFile: CopyFile
  /** True where flushing the directory that a clone is in takes the clone to disk too, so that its files needn't be flushed one by one. */
  isFlushedWithItsName?: (clone: string) => Promise<boolean>
}

/** For XFS, which frees the blocks of removed files behind that, and hurries when it is asked how much is free (xfs_fs_statfs): 2 ms. */
const FREEING_MS = 20

/** Trees that are cloned file by file. */
export function plainTrees(name: string, options: PlainTreesOptions): Trees {
  return {
    name,
    capabilities: {
      ...{ atomicSnapshot: false, ownBytes: false, sharesBlocks: options.sharesBlocks, quota: false },
      foreignTrees: false,
    },
    check: options.check,
    remove: removeTree,
    poolUsage: fileSystemUsage,
    freeBytes: freeBytesOf,
    untilFreed,

    async make(path) {
      await mkdir(path, { mode: 0o700 })
    },

    async clone(from, to, as) {
      await copyTree(from, to, options.copyFile)
      // Of what it doesn't change itself Postgres flushes nothing: it takes its files to have been on disk when it was started.
      if (as === 'snapshot' || !(await options.isFlushedWithItsName?.(to))) await syncTree(to)
    },

    async usage(path) {
      return { ownBytes: await logicalBytes(path) }
    },
  }
}

/** btrfs and bcachefs have the room with their next commit, after half a minute at most. */
async function untilFreed(directory: string, signal?: AbortSignal): Promise<void> {
  await fileSystemUsage(directory)
  await sleep(FREEING_MS, undefined, { signal }).catch(() => {
    throw new ProvisionError('ABORTED', 'waiting for room was stopped on request')
  })
}
