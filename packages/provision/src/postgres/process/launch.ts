import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { watch } from 'node:fs'
import { open } from 'node:fs/promises'
import { join } from 'node:path'
import { isSystemError, ProvisionError } from '../../errors.ts'
import type { Account } from '../runtime.ts'
import { readPostmasterFile } from './postmaster-file.ts'

/** The watch on the directory tells at once; this is for file systems that do not, and for a system that is out of watches. */
const FALLBACK_POLL_MS = 250

export interface LaunchOptions {
  binDir: string
  args: readonly string[]
  dataDir: string
  logFile: string
  account: Account
}

/**
 * Starts the server as a process of its own session, which writes into a file and holds nothing of ours: it goes on when we end,
 * however we end.
 */
export async function launch({ binDir, args, dataDir, logFile, account }: LaunchOptions): Promise<ChildProcess> {
  // Appending, so that cutting the file short does not leave a hole before the next line.
  const log = await open(logFile, 'a', 0o640)
  try {
    const child = spawn(join(binDir, 'postgres'), [...args], {
      cwd: dataDir,
      detached: true,
      stdio: ['ignore', log.fd, log.fd],
      env: { PATH: '/usr/local/bin:/usr/bin:/bin', LC_ALL: 'C' },
      ...(process.getuid?.() === 0 && { uid: account.uid, gid: account.gid }),
    })
    await once(child, 'spawn')
    child.unref()
    return child
  } catch (error) {
    if (!isSystemError(error, 'ENOENT', 'EACCES', 'EPERM', 'EAGAIN', 'ENOMEM')) throw error
    throw new ProvisionError('UNAVAILABLE', `Postgres could not be started from ${binDir}: ${error.message}`, {
      cause: error,
      hint: `Check that ${account.name} can run the programs there and enter ${dataDir}.`,
    })
  } finally {
    await log.close()
  }
}

/**
 * Waits until the server writes `ready` into its postmaster.pid, which it does as it begins to take connections.
 *
 * @returns `ready`, or `exited` when the process has ended before
 * @throws the reason of `signal`
 */
export async function untilReady(
  child: ChildProcess,
  dataDir: string,
  signal: AbortSignal,
): Promise<'ready' | 'exited'> {
  const { promise, resolve, reject } = Promise.withResolvers<'ready' | 'exited'>()
  const look = () => {
    readPostmasterFile(dataDir).then((file) => {
      // A file that names another process is the one that came with a copy.
      if (file?.pid === child.pid && file?.status === 'ready') resolve('ready')
    }, reject)
  }
  const onExit = () => resolve('exited')
  const onAbort = () => reject(signal.reason)
  const watcher = watchDirectory(dataDir, look)
  const poll = setInterval(look, FALLBACK_POLL_MS)
  child.once('exit', onExit)
  signal.addEventListener('abort', onAbort)
  try {
    if (signal.aborted) onAbort()
    if (hasExited(child)) onExit()
    look()
    return await promise
  } finally {
    watcher?.close()
    clearInterval(poll)
    child.off('exit', onExit)
    signal.removeEventListener('abort', onAbort)
  }
}

export function hasExited(child: ChildProcess): boolean {
  return child.exitCode !== null || child.signalCode !== null
}

function watchDirectory(dataDir: string, onChange: () => void): { close(): void } | undefined {
  try {
    const watcher = watch(dataDir, { persistent: false }, (_event, name) => {
      if (name === null || name === 'postmaster.pid') onChange()
    })
    // It ends itself; the poll goes on.
    watcher.on('error', () => watcher.close())
    return watcher
  } catch (error) {
    if (isSystemError(error, 'ENOSPC', 'EMFILE', 'ENOSYS')) return undefined
    throw error
  }
}
