import { chmod, lstat, mkdir, open, readdir, rename, rmdir } from 'node:fs/promises'
import { dirname } from 'node:path'
import { isSystemError } from './errors.ts'

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

export async function exists(path: string): Promise<boolean> {
  try {
    await lstat(path)
    return true
  } catch (error) {
    if (isSystemError(error, 'ENOENT', 'ENOTDIR')) return false
    throw error
  }
}

/** Flushes one file, or the names in one directory, to disk. */
export async function syncPath(path: string): Promise<void> {
  await using file = await open(path, 'r')
  await file.sync()
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
