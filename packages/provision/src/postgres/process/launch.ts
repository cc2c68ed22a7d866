import { type ChildProcess, type StdioOptions, spawn } from 'node:child_process'
import { once } from 'node:events'
import { watch } from 'node:fs'
import { open } from 'node:fs/promises'
import { join } from 'node:path'
import { Writable } from 'node:stream'
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
  /** Told of the process before the server begins in it. */
  prepare?: ((pid: number) => Promise<void>) | undefined
}

/** Waits for a word, then becomes the program that its arguments name: the same process, and not before. Without the word it ends. */
const GATE = 'read -r word <&3 && exec "$@" 3<&-'

/**
 * Starts the server as a process of its own session, which writes into a file and holds nothing of ours: it goes on when we end,
 * however we end.
 */
export async function launch({
  binDir,
  args,
  dataDir,
  logFile,
  account,
  prepare,
}: LaunchOptions): Promise<ChildProcess> {
  // Appending, so that cutting the file short does not leave a hole before the next line.
  const log = await open(logFile, 'a', 0o640)
  try {
    const server = join(binDir, 'postgres')
    const stdio: StdioOptions = ['ignore', log.fd, log.fd]
    const [program, ...given] = prepare ? ['/bin/sh', '-c', GATE, 'sh', server, ...args] : [server, ...args]
    const child = spawn(program, given, {
      cwd: dataDir,
      detached: true,
      stdio: prepare ? [...stdio, 'pipe'] : stdio,
      env: { PATH: '/usr/local/bin:/usr/bin:/bin', LC_ALL: 'C' },
      ...(process.getuid?.() === 0 && { uid: account.uid, gid: account.gid }),
    })
    await once(child, 'spawn')
    if (prepare) await openGate(child, prepare)
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

async function openGate(child: ChildProcess, prepare: (pid: number) => Promise<void>): Promise<void> {
  const gate = child.stdio[3]
  if (!(gate instanceof Writable) || child.pid === undefined) throw new Error('the gate of a server has no handle')
  // A shell that was killed at the gate: its end is seen by whoever waits for the server.
  gate.on('error', () => {})
  try {
    await prepare(child.pid)
    gate.end('go\n')
  } catch (error) {
    gate.destroy()
    throw error
  }
}

/**
 * Waits until the server writes `ready` into its postmaster.pid, which it does as it begins to take connections.
 *
 * @param obstacle what keeps it from writing that, if anything does; asked now and then
 * @returns `ready`, or `exited` when the process has ended before
 * @throws the reason of `signal`; the obstacle
 */
export async function untilReady(
  child: ChildProcess,
  dataDir: string,
  signal: AbortSignal,
  obstacle: () => Promise<Error | undefined>,
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
  const poll = setInterval(() => {
    look()
    obstacle().then((error) => error && reject(error), reject)
  }, FALLBACK_POLL_MS)
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
