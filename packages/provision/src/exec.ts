import { ExecaError, execa } from 'execa'
import { ProvisionError } from './errors.ts'
import { commandPoint, InjectedFault } from './faults/faults.ts'

export interface RunOptions {
  /** Runs as this account. Only root can ask for it. */
  account?: { uid: number; gid: number } | undefined
  cwd?: string
  /** Added to a minimal environment: the caller's own is not passed on. */
  env?: Record<string, string>
  input?: string
  timeoutMs?: number
  signal?: AbortSignal | undefined
}

export interface RunResult {
  stdout: string
  stderr: string
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
  const [file, ...args] = argv
  try {
    await commandPoint('before', argv)
    const { stdout, stderr } = await execa(file, args, {
      env: { PATH: searchPath(), LC_ALL: 'C', ...options.env },
      extendEnv: false,
      ...(options.account && { uid: options.account.uid, gid: options.account.gid }),
      ...(options.cwd && { cwd: options.cwd }),
      ...(options.input === undefined ? { stdin: 'ignore' as const } : { input: options.input }),
      ...(options.timeoutMs && { timeout: options.timeoutMs }),
      ...(options.signal && { cancelSignal: options.signal }),
    })
    await commandPoint('after', argv)
    return { stdout, stderr }
  } catch (error) {
    if (error instanceof InjectedFault) throw new CommandError(argv, undefined, error.message, error)
    if (!(error instanceof ExecaError)) throw error
    if (error.isCanceled) throw new ProvisionError('ABORTED', `${file} was stopped on request`, { cause: error })
    if (error.timedOut)
      throw new ProvisionError('TIMEOUT', `${file} did not end in ${options.timeoutMs} ms`, { cause: error })
    if (error.code === 'ENOENT')
      throw new ProvisionError('UNAVAILABLE', `there is no program ${file} on this machine`, { cause: error })
    throw new CommandError(argv, error.exitCode, typeof error.stderr === 'string' ? error.stderr : '', error)
  }
}

/** The caller's PATH, and where Debian keeps the programs of an administrator, which an ordinary user's PATH lacks. */
export function searchPath(): string {
  return [process.env.PATH ?? '/usr/local/bin:/usr/bin:/bin', '/usr/local/sbin', '/usr/sbin', '/sbin'].join(':')
}
