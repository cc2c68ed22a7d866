import { AsyncLocalStorage } from 'node:async_hooks'
import { ProvisionError } from './errors.ts'
import { commandPoint, InjectedFault } from './faults/faults.ts'
import {
  execute,
  KILL_AFTER_MS,
  type ProgramFailure,
  type ProgramOrder,
  type ProgramResult,
} from './small-process/execute.ts'
import { executeApart } from './small-process/execute-apart.ts'
import { smallProcess } from './small-process/small-process.ts'

export interface RunOptions {
  /** Runs as this account. Only root can ask for it. */
  account?: { uid: number; gid: number } | undefined
  cwd?: string
  /** Added to a minimal environment: the caller's own is not passed on. */
  env?: Record<string, string>
  input?: string
  /** 2 minutes if left out, or what `withCommandTimeout` says: what takes longer hangs. */
  timeoutMs?: number
  signal?: AbortSignal | undefined
  /** Changes nothing, but looks or waits: it ends with this process where the small process runs it, and keeps nothing open that others are to close. */
  onlyLooks?: boolean
}

export type RunResult = ProgramResult

const DEFAULT_TIMEOUT_MS = 120_000
/** From SIGKILL to its end: only a process that the kernel holds survives that for longer. */
const GIVE_UP_AFTER_MS = 3000

const timeouts = new AsyncLocalStorage<number>()

/** Gives every program that `work` runs this long, unless it says otherwise itself. Undefined changes nothing. */
export function withCommandTimeout<T>(timeoutMs: number | undefined, work: () => Promise<T>): Promise<T> {
  return timeoutMs === undefined ? work() : timeouts.run(timeoutMs, work)
}

/** A program ran and failed. `stderr` is whole; the message carries its last line. */
export class CommandError extends Error {
  override readonly name = 'CommandError'
  readonly argv: readonly string[]
  readonly exitCode: number | undefined
  readonly stderr: string

  constructor(argv: readonly string[], exitCode: number | undefined, stderr: string, cause: unknown) {
    const last = stderr.trim().split('\n').at(-1) ?? ''
    super(`${argv[0]} ${argv[1] ?? ''} failed${exitCode === undefined ? '' : ` (exit ${exitCode})`}: ${last}`, {
      cause,
    })
    this.argv = argv
    this.exitCode = exitCode
    this.stderr = stderr
  }
}

/**
 * Runs a program from an argument list, never through a shell, under `LC_ALL=C` so that its messages can be read.
 *
 * @throws CommandError when it ends with a status other than 0
 * @throws ProvisionError UNAVAILABLE when there is no such program, TIMEOUT, ABORTED
 */
export async function run(argv: readonly [string, ...string[]], options: RunOptions = {}): Promise<RunResult> {
  const { account, cwd, input, signal, onlyLooks } = options
  const timeoutMs = options.timeoutMs ?? timeouts.getStore() ?? DEFAULT_TIMEOUT_MS
  const env = { PATH: searchPath(), LC_ALL: 'C', ...options.env }
  try {
    await commandPoint('before', argv)
    const running = outcomeOf({ argv, env, timeoutMs, account, cwd, input, onlyLooks }, signal)
    const outcome = await orGiveUp(running, timeoutMs + KILL_AFTER_MS + GIVE_UP_AFTER_MS, () =>
      hung(argv, timeoutMs, 'is not gone, not even by SIGKILL'),
    )
    if ('ranBadly' in outcome) throw failureOf(argv, timeoutMs, outcome.ranBadly)
    await commandPoint('after', argv)
    return outcome.ran
  } catch (error) {
    if (error instanceof InjectedFault) throw new CommandError(argv, undefined, error.message, error)
    throw error
  }
}

/** From the small process where that is there: a server that is large stands still for as long as it takes to make another process of it. */
function outcomeOf(program: ProgramOrder, signal: AbortSignal | undefined): ReturnType<typeof execute> {
  return smallProcess.isReady && signal?.aborted !== true ? executeApart(program, signal) : execute(program, signal)
}

function failureOf([file, ...args]: readonly [string, ...string[]], timeoutMs: number, failure: ProgramFailure): Error {
  const { message, code, exitCode, stderr, isStopped, isTimedOut } = failure
  const cause = new Error(message)
  const argv = [file, ...args]
  if (isStopped) return new ProvisionError('ABORTED', `${file} was stopped on request`, { cause })
  if (isTimedOut) return hung(argv, timeoutMs, 'was stopped', cause)
  if (code === 'ENOENT')
    return new ProvisionError('UNAVAILABLE', `there is no program ${file} on this machine`, { cause })
  return new CommandError(argv, exitCode, stderr, cause)
}

/**
 * Gives a call to the kernel as long as a program would have.
 *
 * @param as what a program that does the same is called with, for the message
 * @throws ProvisionError TIMEOUT; the call itself goes on
 */
export function withinCommandTimeout<T>(as: readonly string[], call: () => Promise<T>): Promise<T> {
  const timeoutMs = timeouts.getStore() ?? DEFAULT_TIMEOUT_MS
  return orGiveUp(call(), timeoutMs, () => hung(as, timeoutMs, 'goes on'))
}

/** What the kernel holds (a disk that does not answer) does not end by any signal: it is left to itself. */
async function orGiveUp<T>(running: Promise<T>, afterMs: number, error: () => ProvisionError): Promise<T> {
  const { promise, reject } = Promise.withResolvers<never>()
  const timer = setTimeout(() => reject(error()), afterMs)
  // Whoever asked is told once; how it ends after that is nobody's business.
  running.catch(() => undefined)
  try {
    return await Promise.race([running, promise])
  } finally {
    clearTimeout(timer)
  }
}

/** Names the program and what it was to do, but no argument that could be anything. */
function hung([file, verb]: readonly string[], timeoutMs: number, end: string, cause?: unknown): ProvisionError {
  const doing = verb !== undefined && /^[a-z]+$/.test(verb) ? `${file} ${verb}` : `${file}`
  return new ProvisionError('TIMEOUT', `${doing} did not end in ${timeoutMs / 1000} s, and ${end}`, {
    cause,
    hint: "What it works on does not answer: look into the kernel's log (dmesg), and at the state of the pool.",
  })
}

/** The caller's PATH, and where Debian keeps the programs of an administrator, which an ordinary user's PATH lacks. */
export function searchPath(): string {
  return [process.env.PATH ?? '/usr/local/bin:/usr/bin:/bin', '/usr/local/sbin', '/usr/sbin', '/sbin'].join(':')
}
