import { ExecaError, execa } from 'execa'

/** A program as it is to be run: its environment is this one, and none of the caller's. */
export interface ProgramOrder {
  argv: readonly [string, ...string[]]
  env: Record<string, string>
  timeoutMs: number
  account?: { uid: number; gid: number } | undefined
  cwd?: string | undefined
  input?: string | undefined
  /** Changes nothing itself, and may take long: nobody needs it once the one who asked for it is gone. */
  onlyLooks?: boolean | undefined
}

export interface ProgramResult {
  stdout: string
  stderr: string
}

/** How a program failed, in what can be sent from process to process. */
export interface ProgramFailure {
  message: string
  stderr: string
  /** Of the system, where it could not be started: ENOENT. */
  code: string | undefined
  exitCode: number | undefined
  /** On request. */
  isStopped: boolean
  isTimedOut: boolean
}

/** Characters of what a program may say: of all that is run here, lists of the datasets of thousands of clones are the longest, 1 MB each thousand. */
const MOST_OUTPUT = 16 * 1024 * 1024
/** From being asked to end to SIGKILL. */
export const KILL_AFTER_MS = 2000

/**
 * Runs it as a child of this process, until it ended; never through a shell. What it fails by is given, not thrown.
 *
 * @param endsWithUs it is asked to end when this process does
 */
export async function execute(
  { argv, env, timeoutMs, account, cwd, input }: ProgramOrder,
  signal?: AbortSignal,
  { endsWithUs = true } = {},
): Promise<{ ran: ProgramResult } | { ranBadly: ProgramFailure }> {
  const [file, ...args] = argv
  try {
    const { stdout, stderr } = await execa(file, args, {
      env,
      extendEnv: false,
      ...(account && { uid: account.uid, gid: account.gid }),
      ...(cwd && { cwd }),
      ...(input === undefined ? { stdin: 'ignore' as const } : { input }),
      timeout: timeoutMs,
      forceKillAfterDelay: KILL_AFTER_MS,
      maxBuffer: MOST_OUTPUT,
      cleanup: endsWithUs,
      ...(signal && { cancelSignal: signal }),
    })
    return { ran: { stdout, stderr } }
  } catch (error) {
    // Arguments that no program can be given, as one with a NUL.
    if (!(error instanceof ExecaError)) {
      const message = error instanceof Error ? error.message : String(error)
      return {
        ranBadly: {
          message,
          stderr: message,
          code: undefined,
          exitCode: undefined,
          isStopped: false,
          isTimedOut: false,
        },
      }
    }
    const { message, code, exitCode, isCanceled, timedOut } = error
    const stderr = typeof error.stderr === 'string' ? error.stderr : ''
    return { ranBadly: { message, stderr, code, exitCode, isStopped: isCanceled, isTimedOut: timedOut } }
  }
}
