import { randomBytes } from 'node:crypto'
import type { Dirent, Stats } from 'node:fs'
import {
  chmod,
  lchown,
  lstat,
  lutimes,
  mkdir,
  readdir,
  readlink,
  rename,
  rm,
  rmdir,
  symlink,
  unlink,
  utimes,
} from 'node:fs/promises'
import { join } from 'node:path'
import { forEachBounded } from '../bounded.ts'
import { isSystemError, ProvisionError } from '../errors.ts'
import { syncPath } from '../files.ts'
import { HeldDirectory } from './held-directory.ts'

/** Makes the regular file `to`, which isn't there yet, with the bytes of `from`. */
export type CopyFile = (from: string, to: string, stats: Stats) => Promise<void>

type Owner = Pick<Stats, 'uid' | 'gid'>

/** Each is held open while those below it are copied. Postgres itself needs four. */
const MOST_LEVELS = 64

/**
 * Makes `to` a copy of the tree `from`: names, bytes, modes, times, symbolic links as they are, and, for root, owners. Sockets, FIFOs
 * and devices are left out: they mean nothing without the process behind them. Hard links become files of their own; extended
 * attributes and ACLs are not kept, since Node can't read them.
 *
 * Who owns `from` may change it meanwhile, and gets nothing by it that it could not read: nothing is reached over a link, and each copy
 * has the owner and the mode of what was opened. `to` must lie where nobody else can write; its top is given away last.
 *
 * @param owner whom all of the copy is to belong to, if not to the owners of what was copied; only root can give to another
 * @throws ProvisionError INVALID where it is nested too deeply; FAILED where it changes under the copy
 */
export async function copyTree(from: string, to: string, copyFile: CopyFile, owner?: Owner): Promise<void> {
  await using source = await HeldDirectory.open(from)
  await copyHeldTree(source, to, copyFile, owner)
}

/** The same for a tree whose top is open already, and has been looked at: what is at its path by now does not matter. */
export function copyHeldTree(source: HeldDirectory, to: string, copyFile: CopyFile, owner?: Owner): Promise<void> {
  return copyDirectory(source, to, { copyFile, owner }, MOST_LEVELS)
}

interface Copying {
  copyFile: CopyFile
  owner: Owner | undefined
}

async function copyDirectory(source: HeldDirectory, to: string, copying: Copying, levels: number): Promise<void> {
  if (levels === 0) throw tooDeep()
  await mkdir(to, { mode: 0o700 })
  const entries = await source.entries()
  await forEachBounded(entries, (entry) => copyEntry(source, entry, join(to, entry.name), copying))
  for (const { name } of entries.filter((entry) => entry.isDirectory())) {
    await using inner = await source.openDirectory(name)
    await copyDirectory(inner, join(to, name), copying, levels - 1)
  }
  // Last: making an entry changes its directory's time, and a read-only directory takes none.
  await keepAttributes(to, await source.stat(), copying)
}

async function copyEntry(source: HeldDirectory, entry: Dirent, to: string, copying: Copying): Promise<void> {
  if (entry.isSymbolicLink()) {
    const link = source.entry(entry.name)
    const stats = await lstat(link)
    await symlink(await readlink(link), to)
    await keepAttributes(to, stats, copying)
  } else if (entry.isFile()) {
    await using file = await source.openFile(entry.name)
    const stats = await file.stat()
    if (!stats.isFile()) throw new ProvisionError('FAILED', 'the data changed while it was copied')
    await copying.copyFile(file.path, to, stats)
    await keepAttributes(to, stats, copying)
  }
}

function tooDeep(): ProvisionError {
  return new ProvisionError('INVALID', `there are more than ${MOST_LEVELS} directories below each other in the data`, {
    hint: 'Postgres makes no such thing: remove what somebody has put there.',
  })
}

async function keepAttributes(path: string, stats: Stats, { owner = stats }: Pick<Copying, 'owner'>): Promise<void> {
  if (process.geteuid?.() === 0) await lchown(path, owner.uid, owner.gid)
  if (stats.isSymbolicLink()) {
    await lutimes(path, stats.atimeMs / 1000, stats.mtimeMs / 1000)
    return
  }
  // After the owner: a change of that clears the set-user-ID bits.
  await chmod(path, stats.mode & 0o7777)
  await utimes(path, stats.atimeMs / 1000, stats.mtimeMs / 1000)
}

/**
 * Removes a tree; absent is fine. Directories that forbid it to their own owner are opened first. The path to it is ours; what is below
 * may be another account's to change meanwhile, and root follows no link there.
 */
export async function removeTree(path: string): Promise<void> {
  const stats = await orGone(lstat(path))
  if (stats === undefined) return
  if (process.geteuid?.() !== 0 || !stats.isDirectory()) return removeOwnTree(path)
  await using top = await HeldDirectory.open(path)
  // Again for what was lifted from below the deepest that can be held.
  while (await emptyDirectory(top, top, MOST_LEVELS));
  await rmdir(path)
}

/** @returns whether something was lifted to the top, and is still to go */
async function emptyDirectory(directory: HeldDirectory, top: HeldDirectory, levels: number): Promise<boolean> {
  let lifted = false
  const entries = await directory.entries()
  await forEachBounded(entries, async (entry) => {
    if (!entry.isDirectory()) await orLeft(unlink(directory.entry(entry.name)))
  })
  for (const { name } of entries.filter((entry) => entry.isDirectory())) {
    if (levels > 1) {
      await using inner = await orGone(directory.openDirectory(name))
      if (!inner) continue
      lifted = (await emptyDirectory(inner, top, levels - 1)) || lifted
      await orLeft(rmdir(directory.entry(name)))
    } else {
      await rename(directory.entry(name), top.entry(`.lifted~${randomBytes(8).toString('hex')}`))
      lifted = true
    }
  }
  return lifted
}

async function removeOwnTree(path: string): Promise<void> {
  try {
    await rm(path, { recursive: true, force: true })
  } catch (error) {
    if (!isSystemError(error, 'EACCES', 'EPERM')) throw error
    await openOwnTree(path)
    await rm(path, { recursive: true, force: true })
  }
}

/** A removal that has failed somewhere may still go on elsewhere in the tree: what it takes meanwhile needs nothing more. */
async function openOwnTree(path: string): Promise<void> {
  await orGone(chmod(path, 0o700))
  for (const entry of (await orGone(readdir(path, { withFileTypes: true }))) ?? []) {
    if (entry.isDirectory()) await openOwnTree(join(path, entry.name))
  }
}

/** What has become something else by then, or has been filled again, is left: the last rmdir tells of it. */
async function orLeft(removing: Promise<void>): Promise<void> {
  try {
    await removing
  } catch (error) {
    if (!isSystemError(error, 'ENOENT', 'ENOTDIR', 'EISDIR', 'ENOTEMPTY', 'EEXIST')) throw error
  }
}

/** Undefined for what is not there, or is no directory any more. */
export async function orGone<T>(looking: Promise<T>): Promise<T | undefined> {
  try {
    return await looking
  } catch (error) {
    if (isSystemError(error, 'ENOENT', 'ENOTDIR', 'ELOOP')) return undefined
    throw error
  }
}

/** Every directory of a tree that nobody else writes in, each before those below it. */
async function* directoriesOf(path: string): AsyncGenerator<string> {
  const queue = [path]
  for (let directory = queue.pop(); directory !== undefined; directory = queue.pop()) {
    yield directory
    for (const entry of await readdir(directory, { withFileTypes: true })) {
      if (entry.isDirectory()) queue.push(join(directory, entry.name))
    }
  }
}

/** Every directory of a tree that others may write in, as far as they can be held, each before those below it. */
export async function* heldDirectoriesOf(path: string): AsyncGenerator<{ directory: HeldDirectory; at: string }> {
  await using directory = await HeldDirectory.open(path)
  yield* below(directory, '.', MOST_LEVELS)
}

/** What changes meanwhile, as all that Postgres does, is left out. */
async function* below(
  directory: HeldDirectory,
  at: string,
  levels: number,
): AsyncGenerator<{ directory: HeldDirectory; at: string }> {
  yield { directory, at }
  const inner = levels > 1 ? (await directory.entries()).filter((entry) => entry.isDirectory()) : []
  for (const { name } of inner) {
    await using next = await orGone(directory.openDirectory(name))
    if (next) yield* below(next, join(at, name), levels - 1)
  }
}

/** Flushes every file and directory of the tree to disk. */
export async function syncTree(path: string): Promise<void> {
  for await (const directory of directoriesOf(path)) {
    const entries = await readdir(directory, { withFileTypes: true })
    const files = entries.filter((entry) => entry.isFile())
    await forEachBounded(files, (entry) => syncPath(join(directory, entry.name)))
    await syncPath(directory)
  }
}

/** The sum of the sizes that the tree's files show. */
export async function logicalBytes(path: string): Promise<number> {
  let bytes = 0
  for await (const { directory } of heldDirectoriesOf(path)) {
    await forEachBounded(await directory.entries(), async (entry) => {
      const stats = entry.isFile() ? await orGone(lstat(directory.entry(entry.name))) : undefined
      bytes += stats?.size ?? 0
    })
  }
  return bytes
}
