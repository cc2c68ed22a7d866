import { watch } from 'node:fs'
import { isSystemError } from '../../errors.ts'
import type { LaunchedServer } from './launcher.ts'
import { readPostmasterFile } from './postmaster-file.ts'

/** The watch on the directory tells at once; this is for file systems that do not, and for a system that is out of watches. */
const FALLBACK_POLL_MS = 250

/**
 * Waits until the server writes `ready` into its postmaster.pid, which it does as it begins to take connections.
 *
 * @param obstacle what keeps it from writing that, if anything does; asked now and then
 * @returns `ready`, or `exited` when the process has ended before
 * @throws the reason of `signal`; the obstacle
 */
export async function untilReady(
  server: LaunchedServer,
  dataDir: string,
  signal: AbortSignal,
  obstacle: () => Promise<Error | undefined>,
): Promise<'ready' | 'exited'> {
  const { promise, resolve, reject } = Promise.withResolvers<'ready' | 'exited'>()
  const look = () => {
    readPostmasterFile(dataDir).then((file) => {
      // A file that names another process is the one that came with a copy.
      if (file?.pid === server.pid && file?.status === 'ready') resolve('ready')
    }, reject)
  }
  const onAbort = () => reject(signal.reason)
  const watcher = watchDirectory(dataDir, look)
  const poll = setInterval(() => {
    look()
    obstacle().then((error) => error && reject(error), reject)
  }, FALLBACK_POLL_MS)
  server.exited.then(() => resolve('exited'), reject)
  signal.addEventListener('abort', onAbort)
  try {
    if (signal.aborted) onAbort()
    look()
    return await promise
  } finally {
    watcher?.close()
    clearInterval(poll)
    signal.removeEventListener('abort', onAbort)
  }
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
