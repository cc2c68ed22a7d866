import type { Dirent, Stats } from 'node:fs'
import { chmod, lchown, lstat, lutimes, mkdir, readdir, readlink, rm, symlink, utimes } from 'node:fs/promises'
import { join } from 'node:path'
import { isSystemError } from '../errors.ts'
import { syncPath } from '../files.ts'

/** Makes the regular file `to`, which isn't there yet, with the bytes of `from`. */
export type CopyFile = (from: string, to: string, stats: Stats) => Promise<void>

/** libuv has four threads for file calls by default; twice as many calls keep them busy. */
const WIDTH = 8

/**
 * Makes `to` a copy of the tree `from`: names, bytes, modes, times, symbolic links as they are, and, for root, owners. Sockets, FIFOs
 * and devices are left out: they mean nothing without the process behind them. Hard links become files of their own; extended
 * attributes and ACLs are not kept, since Node can't read them.
 */
export async function copyTree(from: string, to: string, copyFile: CopyFile): Promise<void> {
  const made: { path: string; stats: Stats }[] = []
  const queue = [{ from, to }]
  for (let next = queue.pop(); next; next = queue.pop()) {
    const directory = next
    made.push({ path: directory.to, stats: await lstat(directory.from) })
    await mkdir(directory.to, { mode: 0o700 })
    await forEachBounded(await readdir(directory.from, { withFileTypes: true }), async (entry) => {
      const [source, target] = [join(directory.from, entry.name), join(directory.to, entry.name)]
      if (entry.isDirectory()) queue.push({ from: source, to: target })
      else await copyEntry(entry, source, target, copyFile)
    })
  }
  // Last, and from the bottom up: making an entry changes its directory's time, and a read-only directory takes none.
  for (const { path, stats } of made.reverse()) await keepAttributes(path, stats)
}

async function copyEntry(entry: Dirent, from: string, to: string, copyFile: CopyFile): Promise<void> {
  if (!entry.isFile() && !entry.isSymbolicLink()) return
  const stats = await lstat(from)
  if (stats.isSymbolicLink()) await symlink(await readlink(from), to)
  else await copyFile(from, to, stats)
  await keepAttributes(to, stats)
}

async function keepAttributes(path: string, stats: Stats): Promise<void> {
  if (process.geteuid?.() === 0) await lchown(path, stats.uid, stats.gid)
  if (stats.isSymbolicLink()) {
    await lutimes(path, stats.atimeMs / 1000, stats.mtimeMs / 1000)
    return
  }
  // After the owner: a change of that clears the set-user-ID bits.
  await chmod(path, stats.mode & 0o7777)
  await utimes(path, stats.atimeMs / 1000, stats.mtimeMs / 1000)
}

/** Removes a tree; absent is fine. Directories that forbid it to their own owner are opened first. */
export async function removeTree(path: string): Promise<void> {
  try {
    await rm(path, { recursive: true, force: true })
  } catch (error) {
    if (!isSystemError(error, 'EACCES', 'EPERM')) throw error
    for await (const directory of directoriesOf(path)) await chmod(directory, 0o700)
    await rm(path, { recursive: true, force: true })
  }
}

/** Every directory of the tree, each before those below it: its reader may open it before they are looked for. */
export async function* directoriesOf(path: string): AsyncGenerator<string> {
  const queue = [path]
  for (let directory = queue.pop(); directory !== undefined; directory = queue.pop()) {
    yield directory
    for (const entry of await readdir(directory, { withFileTypes: true })) {
      if (entry.isDirectory()) queue.push(join(directory, entry.name))
    }
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
  for await (const directory of directoriesOf(path)) {
    const entries = await readdir(directory, { withFileTypes: true })
    await forEachBounded(entries, async (entry) => {
      if (!entry.isFile()) return
      try {
        const { size } = await lstat(join(directory, entry.name))
        bytes += size
      } catch (error) {
        // A running Postgres removes files all the time.
        if (!isSystemError(error, 'ENOENT')) throw error
      }
    })
  }
  return bytes
}

/** Does the work for every item, a few at once. After a failure none is begun, and it throws only when the others have ended. */
export async function forEachBounded<T>(items: Iterable<T>, work: (item: T) => Promise<void>): Promise<void> {
  const iterator = items[Symbol.iterator]()
  const failures: unknown[] = []
  const worker = async () => {
    while (failures.length === 0) {
      const next = iterator.next()
      if (next.done) return
      try {
        await work(next.value)
      } catch (error) {
        failures.push(error)
      }
    }
  }
  await Promise.all(Array.from({ length: WIDTH }, worker))
  if (failures.length > 0) throw failures[0]
}
