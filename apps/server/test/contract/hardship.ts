import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { chmod } from 'node:fs/promises'
import { createServer, type Server } from 'node:net'
import { promisify } from 'node:util'
import { isSystemError } from '@dblab/provision'
import { isRoot } from '@dblab/provision/testbed'
import { eventually } from '../support/lab.ts'
import type { Api } from './api.ts'

const execute = promisify(execFile)

/** Takes the ports of a range, so that nobody else can have them. */
export async function occupy(from: number, to: number): Promise<AsyncDisposable> {
  const servers: Server[] = []
  for (let port = from; port <= to; port++) {
    const server = createServer().listen(port, '127.0.0.1')
    try {
      await once(server, 'listening')
      servers.push(server)
    } catch (error) {
      // Somebody else has it, which will do.
      if (!isSystemError(error, 'EADDRINUSE')) throw error
    }
  }
  return {
    [Symbol.asyncDispose]: async () => {
      for (const server of servers) server.close()
    },
  }
}

/** Lets nobody write to a directory: not even root, who passes over modes, writes to a file system that is mounted read-only. */
export async function readOnly(directory: string): Promise<AsyncDisposable> {
  if (!isRoot) {
    await chmod(directory, 0o500)
    return { [Symbol.asyncDispose]: () => chmod(directory, 0o700) }
  }
  await execute('mount', ['--bind', directory, directory])
  await execute('mount', ['-o', 'remount,ro,bind', directory])
  return {
    [Symbol.asyncDispose]: async () => {
      await execute('umount', [directory])
    },
  }
}

/** Until one creation runs and another waits behind it. */
export async function fullUp(api: Api, id: string): Promise<void> {
  await eventually('a creation has begun', () => api.lab.output.includes(`clone=${id} step=volume`))
}
