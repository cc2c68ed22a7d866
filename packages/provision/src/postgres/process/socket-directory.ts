import { chmod, chown, lstat, mkdir, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { isSystemError, ProvisionError } from '../../errors.ts'
import type { Account } from '../runtime.ts'

/** sizeof(sockaddr_un.sun_path) less its zero byte: 107 on Linux, 103 on macOS and the BSDs. */
const MAX_PATH_BYTES = process.platform === 'linux' ? 107 : 103
const LONGEST_SOCKET_NAME = '/.s.PGSQL.65535'

function fitsSocket(directory: string): boolean {
  return Buffer.byteLength(directory + LONGEST_SOCKET_NAME) <= MAX_PATH_BYTES
}

/**
 * Where the instance's socket goes: below `root` when its path is short enough for a socket, else below the system's directory for
 * temporary files, under a name that nobody else uses for it.
 */
export function chooseSocketDir(root: string, id: string, fallbackName: string): string {
  for (const directory of [join(root, id), join(tmpdir(), fallbackName), join('/tmp', fallbackName)]) {
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
 * @throws ProvisionError UNAVAILABLE when something else has its name
 */
export async function makeSocketDir(path: string, account: Account): Promise<void> {
  const isRoot = process.getuid?.() === 0
  try {
    await mkdir(path, { mode: 0o700 })
    if (isRoot) await chown(path, account.uid, account.gid)
    return
  } catch (error) {
    if (!isSystemError(error, 'EEXIST')) throw error
  }
  // lstat: in a directory where everybody may write, a link could lead anywhere.
  const found = await lstat(path)
  const ours = found.isDirectory() && (found.uid === account.uid || (isRoot && found.uid === 0))
  if (!ours) {
    throw new ProvisionError('UNAVAILABLE', `${path}, where the socket should go, belongs to somebody else`, {
      hint: `Look at what it is, and remove it.`,
    })
  }
  if (found.uid !== account.uid) await chown(path, account.uid, account.gid)
  if ((found.mode & 0o777) !== 0o700) await chmod(path, 0o700)
  // The lock file of a server that was killed names a pid that may be somebody else's by now.
  for (const name of await readdir(path)) await rm(join(path, name), { force: true })
}

export async function removeSocketDir(path: string): Promise<void> {
  await rm(path, { recursive: true, force: true })
}
