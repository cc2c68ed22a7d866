import { createHash } from 'node:crypto'
import type { Stats } from 'node:fs'
import { chmod, chown, lstat, mkdir, readdir, rmdir, unlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, dirname, join } from 'node:path'
import { isSystemError, ProvisionError } from '../../errors.ts'
import { run } from '../../exec.ts'
import { removeIfEmpty } from '../../files.ts'
import type { Account } from '../runtime.ts'

/** sizeof(sockaddr_un.sun_path) less its zero byte: 107 on Linux, 103 on macOS and the BSDs. */
const MAX_PATH_BYTES = process.platform === 'linux' ? 107 : 103
const LONGEST_SOCKET_NAME = '/.s.PGSQL.65535'
const FALLBACK_PREFIX = 'dblab-'
/** Another instance may remove the common directory, when it was the last in it, right after it was made. */
const TRIES = 5

function fitsSocket(directory: string): boolean {
  return Buffer.byteLength(directory + LONGEST_SOCKET_NAME) <= MAX_PATH_BYTES
}

function digest(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 16)
}

/**
 * Where the instance's socket goes: below `root` when its path is short enough for a socket, else below the system's directory for
 * temporary files, in one that all sockets of that root share.
 */
export function chooseSocketDir(root: string, id: string): string {
  const fallback = join(`${FALLBACK_PREFIX}${digest(root)}`, digest(id))
  for (const directory of [join(root, id), join(tmpdir(), fallback), join('/tmp', fallback)]) {
    if (fitsSocket(directory)) return directory
  }
  throw new ProvisionError('UNAVAILABLE', 'there is no directory with a path short enough for a Postgres socket', {
    hint: 'Choose a shorter data directory.',
  })
}

/**
 * Makes it, or takes the one that is there if it is really ours: a directory, of the account, closed to others. A system that clears
 * its temporary directory at boot takes it away, so this is called before every start.
 *
 * It lies in a directory where this process alone may write, so that it stays what it was seen to be: whoever runs programs as the
 * account (a superuser of a clone, where those are allowed) can't put a link in its place for root to follow.
 *
 * @throws ProvisionError UNAVAILABLE when something else has its name
 */
export async function makeSocketDir(path: string, account: Account): Promise<void> {
  for (let tries = 1; ; tries++) {
    await ensureClosedParent(dirname(path))
    try {
      await mkdir(path, { mode: 0o700 })
      if (isRoot()) await chown(path, account.uid, account.gid)
      return
    } catch (error) {
      if (isSystemError(error, 'EEXIST')) break
      if (!isSystemError(error, 'ENOENT') || tries === TRIES) throw error
    }
  }
  const found = await lstat(path)
  if (!found.isDirectory() || (found.uid !== account.uid && !isOurs(found))) throw belongsToOthers(path)
  if (found.uid !== account.uid) await chown(path, account.uid, account.gid)
  if ((found.mode & 0o777) !== 0o700) await chmod(path, 0o700)
  // The lock file of a server that was killed names a pid that may be somebody else's by now.
  await empty(path, account)
}

/** Absent already is fine. */
export async function removeSocketDir(path: string, account: Account): Promise<void> {
  try {
    await empty(path, account)
    await rmdir(path)
  } catch (error) {
    if (!isSystemError(error, 'ENOENT')) throw error
  }
  if (isFallback(dirname(path))) await removeIfEmpty(dirname(path))
}

/** The fallback's is made; every other one is the runtime's own, and there already. */
async function ensureClosedParent(parent: string): Promise<void> {
  if (isFallback(parent)) {
    await requireSticky(dirname(parent))
    try {
      await mkdir(parent, { mode: 0o711 })
    } catch (error) {
      if (!isSystemError(error, 'EEXIST')) throw error
    }
  }
  const found = await lstat(parent)
  if (!found.isDirectory() || !isOurs(found) || (found.mode & 0o022) !== 0) throw belongsToOthers(parent)
  // Not the umask's business. Nobody else can have put something in its place since.
  if (isFallback(parent) && (found.mode & 0o777) !== 0o711) await chmod(parent, 0o711)
}

/** Where everybody may write, only this keeps others from renaming what is ours. */
async function requireSticky(directory: string): Promise<void> {
  const { mode } = await lstat(directory)
  if ((mode & 0o022) === 0 || (mode & 0o1000) !== 0) return
  throw new ProvisionError('UNAVAILABLE', `in ${directory} anybody may rename what others have made`, {
    hint: `chmod +t ${directory}, or choose a shorter data directory, so that sockets need not go there.`,
  })
}

/** Links are removed, not followed. A directory is none of Postgres' making: it goes by the hand of the account, which has nothing to gain. */
async function empty(path: string, account: Account): Promise<void> {
  const directories: string[] = []
  for (const name of await readdir(path)) {
    try {
      await unlink(join(path, name))
    } catch (error) {
      // What Linux says of a directory, and what POSIX says.
      if (!isSystemError(error, 'EISDIR', 'EPERM')) throw error
      directories.push(join(path, name))
    }
  }
  if (directories.length > 0) await run(['rm', '-rf', '--', ...directories], { ...(isRoot() && { account }) })
}

function isFallback(parent: string): boolean {
  return basename(parent).startsWith(FALLBACK_PREFIX)
}

function isRoot(): boolean {
  return process.getuid?.() === 0
}

function isOurs({ uid }: Stats): boolean {
  return uid === process.getuid?.()
}

function belongsToOthers(path: string): ProvisionError {
  return new ProvisionError('UNAVAILABLE', `${path}, where the socket should go, belongs to somebody else`, {
    hint: 'Look at what it is, and remove it.',
  })
}
