import { type ChildProcess, fork } from 'node:child_process'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { isSystemError, ProvisionError } from '../../errors.ts'
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

export interface LaunchOrder {
  id: number
  file: string
  args: readonly string[]
  dataDir: string
  logFile: string
  account: { uid: number; gid: number } | undefined
  /** Nothing of the program runs before the gate is opened. */
  gated: boolean
}

export type LauncherOrder = LaunchOrder | { id: number; openGate: boolean }

export type LauncherAnswer =
  | { id: number; pid: number }
  | { id: number; exited: true }
  | { id: number; failed: Partial<NodeJS.ErrnoException> & { message: string } }

interface Waiting {
  launched: PromiseWithResolvers<number>
  exited: PromiseWithResolvers<void>
}

/** Beside this file, in the sources as in the build. */
const MAIN = fileURLToPath(new URL(`launcher-main${import.meta.url.slice(-3)}`, import.meta.url))
/** It holds next to nothing: a heap that grows would make each fork slower again. */
const SMALL = ['--max-old-space-size=32', '--max-semi-space-size=1']

/**
 * Starts servers from a small process of its own. Node copies the tables of its memory for each program that it starts (libuv forks): from
 * a server of 250 MB that takes 12 ms, in which it does nothing else, and from this one 1 ms. See docs/decisions/launcher.md.
 *
 * A server is a process of its own session, which writes into a file and holds nothing of ours: it goes on when we end, however we end.
 */
export class Launcher {
  #helper: ChildProcess | undefined
  readonly #waiting = new Map<number, Waiting>()
  #lastId = 0

  /** @throws ProvisionError UNAVAILABLE where the program can't be run; system errors of its log */
  async launch(options: LaunchOptions): Promise<LaunchedServer> {
    const { binDir, args, dataDir, logFile, account, prepare } = options
    const id = ++this.#lastId
    const file = join(binDir, 'postgres')
    const isRoot = process.getuid?.() === 0
    const identity = isRoot ? { uid: account.uid, gid: account.gid } : undefined
    const waiting: Waiting = { launched: Promise.withResolvers(), exited: Promise.withResolvers() }
    // Whoever waits for it hears of it.
    waiting.exited.promise.catch(() => undefined)
    this.#waiting.set(id, waiting)
    try {
      this.#order({ id, file, args, dataDir, logFile, account: identity, gated: prepare !== undefined })
      const pid = await waiting.launched.promise
      if (prepare) await this.#openGate(id, pid, prepare)
      return { pid, exited: waiting.exited.promise, [Symbol.dispose]: () => this.#forget(id) }
    } catch (error) {
      this.#forget(id)
      if (!isSystemError(error, 'ENOENT', 'EACCES', 'EPERM', 'EAGAIN', 'ENOMEM')) throw error
      throw new ProvisionError('UNAVAILABLE', `Postgres could not be started from ${binDir}: ${error.message}`, {
        cause: error,
        hint: `Check that ${account.name} can run the programs there and enter ${dataDir}.`,
      })
    }
  }

  async #openGate(id: number, pid: number, prepare: (pid: number) => Promise<void>): Promise<void> {
    try {
      await prepare(pid)
      this.#order({ id, openGate: true })
    } catch (error) {
      this.#order({ id, openGate: false })
      throw error
    }
  }

  #order(order: LauncherOrder): void {
    this.#helper ??= this.#start()
    this.#helper.channel?.ref()
    this.#helper.send(order)
  }

  #start(): ChildProcess {
    const helper = fork(MAIN, {
      execArgv: SMALL,
      // Nothing of ours: it may hold the lab's token.
      env: {},
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    })
    helper.unref()
    helper.on('message', (answer: LauncherAnswer) => this.#hear(answer))
    helper.once('error', (error) => this.#lose(helper, error))
    helper.once('exit', () => this.#lose(helper))
    return helper
  }

  #hear(answer: LauncherAnswer): void {
    const waiting = this.#waiting.get(answer.id)
    if ('pid' in answer) waiting?.launched.resolve(answer.pid)
    else if ('exited' in answer) waiting?.exited.resolve()
    else waiting?.launched.reject(Object.assign(new Error(answer.failed.message), answer.failed))
    if ('exited' in answer) this.#forget(answer.id)
  }

  /** The next order starts another one. */
  #lose(helper: ChildProcess, cause?: unknown): void {
    if (this.#helper === helper) this.#helper = undefined
    for (const [id, waiting] of this.#waiting) {
      const error = new ProvisionError('FAILED', 'the process that starts Postgres has ended', { cause })
      waiting.launched.reject(error)
      waiting.exited.reject(error)
      this.#waiting.delete(id)
    }
  }

  #forget(id: number): void {
    this.#waiting.delete(id)
    this.#rest()
  }

  /** What nobody waits for keeps no process alive. */
  #rest(): void {
    if (this.#waiting.size === 0) this.#helper?.channel?.unref()
  }
}
