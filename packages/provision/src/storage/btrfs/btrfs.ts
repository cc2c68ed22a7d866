import { lstat, statfs } from 'node:fs/promises'
import { join } from 'node:path'
import { isProvisionError, isSystemError, ProvisionError } from '../../errors.ts'
import { CommandError, type RunOptions, run } from '../../exec.ts'
import { fileSystemUsage, freeBytesOf } from '../access.ts'
import type { PoolUsage } from '../driver.ts'
import { heldDirectoriesOf, orGone, removeTree } from '../tree.ts'
import type { Trees } from '../trees.ts'
import { explainBtrfs } from './errors.ts'
import { cloneSubvolume, listSubvolumes, SUBVOLUME_INODE } from './foreign.ts'
import { deviceHealth } from './health.ts'
import { parseDu } from './output.ts'
import { quotaOf, quotasAreOn, switchQuotas } from './quotas.ts'
import { openSubvolumeCalls, type SubvolumeCalls } from './subvolume-calls.ts'

/** BTRFS_SUPER_MAGIC: what statfs(2) says of every btrfs. */
const MAGIC = 0x9123683e
/** It asks for every extent of every file. */
const DU_TIMEOUT_MS = 15 * 60_000
/** A subvolume is taken apart block by block. */
const CLEANING_TIMEOUT_MS = 15 * 60_000

/**
 * Subvolumes and snapshots of btrfs (btrfs-subvolume(8)). Making them costs the same however much they hold, and a snapshot is atomic
 * and committed to disk when the command ends.
 *
 * An ordinary account can make and snapshot subvolumes of its own. It can delete them by one command where the file system is mounted
 * with `user_subvol_rm_allowed`; elsewhere the files are removed one by one. Own bytes are those of data: metadata, and files of up to
 * 2 KiB that lie in it, are not counted.
 *
 * @param image for an embedded pool: where its file lies, whose file system may be full before the pool is
 * @param quotas whether volumes are to be bounded by quota groups; undefined leaves those that there are
 */
export function btrfsTrees(image?: string, quotas?: boolean, calls: SubvolumeCalls = openSubvolumeCalls()): Trees {
  // When a subvolume was made is for root alone to read, and what is another account's for root alone to snapshot.
  const foreignTrees = process.geteuid?.() === 0
  const capabilities = { atomicSnapshot: true, ownBytes: true, sharesBlocks: true, quota: false, foreignTrees }
  return {
    name: 'btrfs',
    capabilities,
    settle: calls.settle,
    check,
    remove: (path) => remove(path, calls),

    async open(directory) {
      // Another's file system is not ours to switch anything on in, which costs all that lies there.
      if (image !== undefined && quotas !== undefined) await switchQuotas(directory, quotas)
      capabilities.quota = quotas === true && (await quotasAreOn(directory))
    },

    async make(path) {
      await btrfs('subvolume', 'create', path)
    },

    async clone(from, to, as) {
      await calls.snapshot(from, to, as === 'snapshot')
    },

    ...(foreignTrees && { foreign: { list: listSubvolumes, clone: cloneSubvolume } }),

    async limit(path, quotaBytes) {
      await btrfs('qgroup', 'limit', '-e', String(quotaBytes), path)
    },

    async usage(path, signal) {
      const ownBytes = (await ownBytesWithin(calls, path, signal)) ?? (await exclusiveBytes(path, signal))
      return { ownBytes, quotaBytes: capabilities.quota ? await quotaOf(path) : undefined }
    },

    untilFreed,
    poolUsage: (directory) => poolUsage(directory, image),
    freeBytes: async (directory) => {
      await requireMounted(directory)
      const free = [directory, ...(image === undefined ? [] : [join(image, '..')])].map(freeBytesOf)
      return Math.min(...(await Promise.all(free)))
    },
    explain: explainBtrfs,
  }
}

/** @throws ProvisionError as `run` */
async function ownBytesWithin(
  calls: SubvolumeCalls,
  path: string,
  signal: AbortSignal | undefined,
): Promise<number | undefined> {
  const deadline = AbortSignal.timeout(DU_TIMEOUT_MS)
  try {
    return await calls.ownBytes(path, signal ? AbortSignal.any([signal, deadline]) : deadline)
  } catch (cause) {
    if (signal?.aborted) throw new ProvisionError('ABORTED', 'the look at a volume was stopped on request', { cause })
    if (!deadline.aborted) throw cause
    throw new ProvisionError(
      'TIMEOUT',
      `the own bytes of a volume were not told in ${DU_TIMEOUT_MS / 60_000} minutes`,
      {
        cause,
      },
    )
  }
}

async function exclusiveBytes(path: string, signal: AbortSignal | undefined): Promise<number> {
  const argv = ['btrfs', 'filesystem', 'du', '-s', '--raw', path] as const
  return parseDu((await run(argv, { timeoutMs: DU_TIMEOUT_MS, signal, onlyLooks: true })).stdout)
}

export async function isBtrfs(path: string): Promise<boolean> {
  return (await statfs(path)).type === MAGIC
}

async function check(directory: string): Promise<void> {
  if (!(await isBtrfs(directory))) {
    throw new ProvisionError('UNAVAILABLE', `${directory} is not on btrfs`, {
      hint: 'Mount a btrfs there, or configure an image, which needs root.',
    })
  }
  await checkProgram('btrfs')
}

/** @throws ProvisionError UNAVAILABLE, with the package that has it */
export async function checkProgram(name: 'btrfs' | 'mkfs.btrfs'): Promise<void> {
  try {
    await run([name, '--version'])
  } catch (error) {
    if (!isProvisionError(error, 'UNAVAILABLE')) throw error
    throw new ProvisionError('UNAVAILABLE', `the program ${name} is not installed`, {
      cause: error,
      hint: 'Install the package btrfs-progs (apt install btrfs-progs).',
    })
  }
}

async function btrfs(...args: string[]): Promise<string> {
  return (await run(['btrfs', ...args])).stdout
}

/**
 * Deletes a subvolume with whatever its users have made in it, subvolumes of their own too. What is below its top is another account's
 * to change meanwhile, so root touches nothing of it by a path: that account does.
 */
async function remove(path: string, calls: SubvolumeCalls): Promise<void> {
  const stats = await orGone(lstat(path))
  if (stats === undefined) return
  if (stats.ino !== SUBVOLUME_INODE) return removeTree(path)
  if (await unlessRefused(calls.delete(path))) return
  const account = process.geteuid?.() === 0 && stats.uid !== 0 ? { uid: stats.uid, gid: stats.gid } : undefined
  const deleted = (at: string, options: RunOptions) => unlessRefused(run(['btrfs', 'subvolume', 'delete', at], options))
  if (account === undefined) await makeWritable('.', { cwd: path })
  for (const at of await subvolumesIn(path)) {
    if (await deleted(at, { cwd: path, account })) continue
    await makeWritable(at, { cwd: path, account })
  }
  // Where deleting is not allowed, removing file by file is: the last rmdir of an empty subvolume deletes it too.
  if (!(await unlessRefused(calls.delete(path)))) await removeTree(path)
}

/** False when it was refused: it holds subvolumes, or it's read-only or not root's to delete. */
async function unlessRefused(deleting: Promise<unknown>): Promise<boolean> {
  try {
    await deleting
    return true
  } catch (error) {
    const refused = /Directory not empty|Operation not permitted|Permission denied|Read-only file system/
    if (error instanceof CommandError && refused.test(error.stderr)) return false
    if (isSystemError(error, 'ENOTEMPTY', 'EPERM', 'EACCES', 'EROFS')) return false
    throw error
  }
}

async function makeWritable(subvolume: string, options: RunOptions): Promise<void> {
  await run(['btrfs', 'property', 'set', '-ts', subvolume, 'ro', 'false'], options)
}

/** The subvolumes below this one, as paths from it, the innermost first. Listing them by the file system's own tables takes root; a walk does not. */
async function subvolumesIn(path: string): Promise<string[]> {
  const found: string[] = []
  for await (const { directory, at } of heldDirectoriesOf(path)) {
    if (at !== '.' && (await directory.stat()).ino === SUBVOLUME_INODE) found.push(at)
  }
  return found.reverse()
}

/**
 * A kernel thread takes deleted subvolumes apart, which a commit wakes, every 30 seconds by itself; and what it has freed counts as free with
 * the next commit.
 */
async function untilFreed(directory: string, signal?: AbortSignal): Promise<void> {
  const commit = () => run(['btrfs', 'filesystem', 'sync', directory], { signal })
  await commit()
  try {
    await run(['btrfs', 'subvolume', 'sync', directory], { timeoutMs: CLEANING_TIMEOUT_MS, signal, onlyLooks: true })
  } catch (error) {
    // Which there are is root's alone to know.
    if (!(error instanceof CommandError) || !/Operation not permitted/.test(error.stderr)) throw error
  }
  await commit()
}

async function requireMounted(directory: string): Promise<void> {
  if (await isBtrfs(directory)) return
  throw new ProvisionError('UNAVAILABLE', `the pool is not mounted at ${directory}`, {
    hint: 'Stop the server (Ctrl-C leaves the clones) and start it again: that mounts it.',
  })
}

async function poolUsage(directory: string, image: string | undefined): Promise<PoolUsage> {
  await requireMounted(directory)
  const usage = await fileSystemUsage(directory)
  // An image on a host that is full turns what is written to it into I/O errors.
  const freeBytes =
    image === undefined ? usage.freeBytes : Math.min(usage.freeBytes, await freeBytesOf(join(image, '..')))
  if (usage.health !== 'OK') return { ...usage, freeBytes }
  return { ...usage, freeBytes, ...(await deviceHealth(directory)) }
}
