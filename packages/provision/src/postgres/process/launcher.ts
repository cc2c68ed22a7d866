import { join } from 'node:path'
import { isSystemError, ProvisionError } from '../../errors.ts'
import type { Answer } from '../../small-process/protocol.ts'
import { smallProcess } from '../../small-process/small-process.ts'
import type { Account } from '../runtime.ts'

export interface LaunchOptions {
  binDir: string
  args: readonly string[]
  dataDir: string
  logFile: string
  account: Account
  /** Told of the process before the server begins in it. */
  prepare?: ((pid: number) => Promise<void>) | undefined
}

/** A server's process, as long as it starts; once disposed of, nobody is told of its end. */
export interface LaunchedServer extends Disposable {
  readonly pid: number
  /** Resolves when it has ended; rejects when nobody will tell any more. */
  readonly exited: Promise<void>
}

/**
 * Starts a server from the small process. It is a process of its own session, which writes into a file and holds nothing of ours: it goes
 * on when we end, however we end.
 *
 * @throws ProvisionError UNAVAILABLE where the program can't be run; system errors of its log
 */
export async function launchServer(options: LaunchOptions): Promise<LaunchedServer> {
  const { binDir, args, dataDir, logFile, account, prepare } = options
  const isRoot = process.getuid?.() === 0
  const launched = Promise.withResolvers<number>()
  const exited = Promise.withResolvers<void>()
  // Whoever waits for them hears of it.
  for (const { promise } of [launched, exited]) promise.catch(() => undefined)
  const launch = {
    file: join(binDir, 'postgres'),
    args,
    dataDir,
    logFile,
    account: isRoot ? { uid: account.uid, gid: account.gid } : undefined,
    gated: prepare !== undefined,
  }
  const id = smallProcess.order(
    { launch },
    {
      hear(answer: Answer) {
        if ('pid' in answer) launched.resolve(answer.pid)
        else if ('failed' in answer) launched.reject(Object.assign(new Error(answer.failed.message), answer.failed))
        else if ('exited' in answer) {
          exited.resolve()
          smallProcess.forget(id)
        }
      },
      lose(error) {
        launched.reject(error)
        exited.reject(error)
      },
    },
  )
  try {
    const pid = await launched.promise
    if (prepare) await openGate(id, pid, prepare)
    return { pid, exited: exited.promise, [Symbol.dispose]: () => smallProcess.forget(id) }
  } catch (error) {
    smallProcess.forget(id)
    if (!isSystemError(error, 'ENOENT', 'EACCES', 'EPERM', 'EAGAIN', 'ENOMEM')) throw error
    throw new ProvisionError('UNAVAILABLE', `Postgres could not be started from ${binDir}: ${error.message}`, {
      cause: error,
      hint: `Check that ${account.name} can run the programs there and enter ${dataDir}.`,
    })
  }
}

async function openGate(id: number, pid: number, prepare: (pid: number) => Promise<void>): Promise<void> {
  try {
    await prepare(pid)
    smallProcess.tell({ id, openGate: true })
  } catch (error) {
    smallProcess.tell({ id, openGate: false })
    throw error
  }
}
