import { constants } from 'node:fs'
import { access, chmod, lstat, mkdir, open, readdir, rename, rmdir, stat } from 'node:fs/promises'
import { platform, release } from 'node:os'
import { dirname } from 'node:path'
import { isSystemError } from './errors.ts'
import { type RunOptions, run } from './exec.ts'

/**
 * Makes the directory, and what lacks above it, with this very mode whatever the umask; what is there stays as it is. One by one, since
 * Node's recursive mkdir calls a read-only file system ENOENT, and never ends below /proc.
 */
export async function makeDirectory(path: string, mode: number): Promise<void> {
  try {
    await mkdir(path, { mode })
  } catch (error) {
    if (isSystemError(error, 'EEXIST')) return
    if (!isSystemError(error, 'ENOENT') || dirname(path) === path) throw error
    await makeDirectory(dirname(path), mode)
    await mkdir(path, { mode })
  }
  await chmod(path, mode)
}

/** Absent is fine, and what holds something stays. */
export async function removeIfEmpty(directory: string): Promise<void> {
  try {
    await rmdir(directory)
  } catch (error) {
    if (!isSystemError(error, 'ENOENT', 'ENOTEMPTY', 'EEXIST', 'EBUSY')) throw error
  }
}

export async function isEmptyDirectory(path: string): Promise<boolean> {
  return (await readdir(path)).length === 0
}

/** True for a link too, wherever it leads. */
export async function exists(path: string): Promise<boolean> {
  return isThere(lstat(path))
}

/** For a link: that something is where it leads. */
export async function leadsSomewhere(path: string): Promise<boolean> {
  return isThere(stat(path))
}

/** That something is where it leads, and that the way there is open to this account. */
export async function isWithinReach(path: string): Promise<boolean> {
  return isThere(access(path), 'EACCES')
}

async function isThere(looking: Promise<unknown>, ...otherwise: string[]): Promise<boolean> {
  try {
    await looking
    return true
  } catch (error) {
    if (isSystemError(error, 'ENOENT', 'ENOTDIR', 'ELOOP', ...otherwise)) return false
    throw error
  }
}

/** More than any file has that Postgres keeps about itself and that is read here. */
const MOST_BYTES = 8192

/**
 * The beginning of a file that another account may have put there: at most 8 KiB, and only of a regular file that lies there itself.
 * Undefined for anything else of that name, such as a FIFO, which would keep its reader waiting for ever, or a link.
 *
 * @throws system error ENOENT, and whatever else the disk says
 */
export async function readForeignFile(path: string): Promise<Buffer | undefined> {
  const { O_RDONLY, O_NOFOLLOW, O_NONBLOCK } = constants
  try {
    await using file = await open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK)
    if (!(await file.stat()).isFile()) return undefined
    const { buffer, bytesRead } = await file.read(Buffer.alloc(MOST_BYTES), 0, MOST_BYTES, 0)
    return buffer.subarray(0, bytesRead)
  } catch (error) {
    // A link; a socket.
    if (isSystemError(error, 'ELOOP', 'ENXIO')) return undefined
    throw error
  }
}

/** Flushes one file, or the names in one directory, to disk. */
export async function syncPath(path: string): Promise<void> {
  await using file = await open(path, 'r')
  await file.sync()
}

/** Flushes all of the file system that a path is in. It takes as long as what is not written yet does, and can't be stopped before. */
export async function syncFileSystem(
  path: string,
  options: Pick<RunOptions, 'timeoutMs' | 'signal'> = {},
): Promise<void> {
  await run(platform() === 'linux' ? ['sync', '-f', path] : ['sync'], options)
}

/** The kernel tells of what it could not write when a file system is flushed: since Linux 5.8 (manual page of syncfs(2), "BUGS"). */
export function flushTellsFailures(): boolean {
  const [major = 0, minor = 0] = release().split('.').map(Number)
  return platform() === 'linux' && (major > 5 || (major === 5 && minor >= 8))
}

/** The new text or the old one, whole, whatever happens meanwhile; on disk when this resolves. By default only this account can read it. */
export async function writeFileAtomically(path: string, text: string, mode = 0o600): Promise<void> {
  const beside = `${path}.new`
  {
    await using file = await open(beside, 'w', mode)
    await file.writeFile(text)
    await file.sync()
  }
  await rename(beside, path)
  await syncPath(dirname(path))
}
