import { type ChildProcess, type StdioOptions, spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'
import { finished } from 'node:stream/promises'
import {
  type Account,
  CommandError,
  isProvisionError,
  isSystemError,
  ProvisionError,
  run as runCommand,
  searchPath,
} from '@dblab/provision'

export interface ToolRun {
  /** The program's absolute path and its arguments. No secret may be among them: every account sees them. */
  argv: readonly [string, ...string[]]
  /** The account that it runs as. Only root can run as another than its own. */
  account: Account
  env?: Readonly<Record<string, string>>
  /** A descriptor that the program reads itself, or a stream that is pumped into it. */
  stdin?: number | Readable
  /** Gets the output as it comes; without it the output is thrown away. */
  onStdout?: (chunk: Buffer) => void
  onStderrLine?: (line: string) => void
  signal?: AbortSignal | undefined
  /** It is ended after this time even where this process is stopped, or suspended; by nobody where the system has no timeout(1) of coreutils. */
  limitMs?: number
}

/** How long a program that was told to stop may take to cancel its queries, before it is killed. */
const stopGraceMs = 3000

/**
 * Runs one of PostgreSQL's client programs in a process group of its own, so that its workers, and whatever a script makes it start, end with it.
 * Resolves to its exit status; undefined when a signal ended it.
 *
 * @throws ProvisionError ABORTED once nothing of it runs any more, UNAVAILABLE when it can't be started; the error of the stream that fed it
 */
export async function runTool(run: ToolRun): Promise<number | undefined> {
  if (run.signal?.aborted) throw aborted(run)
  const child = start(run, await wrappers(run.limitMs))
  // Else its workers would go on, and hold its outputs open.
  child.once('exit', () => killGroup(child, 'SIGKILL'))
  const ended = whenEnded(child)
  const stop = (): void => stopGroup(child)
  run.signal?.addEventListener('abort', stop, { once: true })
  try {
    const [code] = await Promise.all([ended, readOutputs(child, run), feed(child, run)])
    if (run.signal?.aborted) throw aborted(run)
    return code
  } catch (error) {
    if (isSystemError(error, 'ENOENT', 'EACCES') && child.pid === undefined) {
      throw new ProvisionError('UNAVAILABLE', `${run.argv[0]} can't be run`, { cause: error })
    }
    killGroup(child, 'SIGKILL')
    await ended.catch(() => undefined)
    throw error
  } finally {
    run.signal?.removeEventListener('abort', stop)
  }
}

/** What has the kernel end a program when this process ends, however it does: https://man7.org/linux/man-pages/man1/setpriv.1.html */
const END_WITH_US = ['setpriv', '--pdeathsig', 'TERM'] as const

/**
 * Passes the signal on to the whole group, and bounds its time, if at all. pg_basebackup ends by a signal without its other half, which would go on to
 * receive the source's log for ever; pg_dump does not end by one alone, where nobody reads what it says of that.
 * https://www.gnu.org/software/coreutils/manual/html_node/timeout-invocation.html
 */
function withAllOfIt(limitMs: number | undefined): string[] {
  // 0 is no bound.
  const seconds = limitMs === undefined ? 0 : Math.max(0.001, limitMs / 1000)
  return ['timeout', '--kill-after=5', seconds.toFixed(3)]
}

let endsWithUs: Promise<boolean> | undefined
let bounds: Promise<boolean> | undefined

/** What a tool is started through: less where the system has no such thing (macOS, BusyBox). There a tool may outlive a server that is killed. */
async function wrappers(limitMs: number | undefined): Promise<string[]> {
  endsWithUs ??= commandWorks([...END_WITH_US, 'true'])
  bounds ??= commandWorks(['timeout', '--kill-after=5', '0', 'true'])
  return [...((await endsWithUs) ? END_WITH_US : []), ...((await bounds) ? withAllOfIt(limitMs) : [])]
}

async function commandWorks(argv: readonly [string, ...string[]]): Promise<boolean> {
  try {
    await runCommand(argv)
    return true
  } catch (error) {
    if (error instanceof CommandError || isProvisionError(error, 'UNAVAILABLE')) return false
    throw error
  }
}

function start(run: ToolRun, prefix: readonly string[]): ChildProcess {
  const [file = '', ...args] = [...prefix, ...run.argv]
  const input = run.stdin === undefined ? 'ignore' : typeof run.stdin === 'number' ? run.stdin : 'pipe'
  const stdio: StdioOptions = [input, run.onStdout ? 'pipe' : 'ignore', 'pipe']
  return spawn(file, args, {
    // A directory that every account can enter: the server's own may be closed to this one.
    cwd: '/',
    env: { PATH: searchPath(), LC_ALL: 'C', ...run.env },
    ...asAccount(run.account),
    stdio,
    detached: true,
  })
}

/** The ids to run a program as: none where the caller isn't root, and so is the account itself. */
export function asAccount(account: Account): { uid: number; gid: number } | undefined {
  return process.getuid?.() === 0 ? { uid: account.uid, gid: account.gid } : undefined
}

function whenEnded(child: ChildProcess): Promise<number | undefined> {
  const { promise, resolve, reject } = Promise.withResolvers<number | undefined>()
  child.once('error', reject)
  child.once('close', (code) => resolve(code ?? undefined))
  return promise
}

/** What a reader throws comes out, and ends the program. */
async function readOutputs(child: ChildProcess, run: ToolRun): Promise<void> {
  await Promise.all([readStdout(child, run), readStderr(child, run)])
}

async function readStdout({ stdout }: ChildProcess, { onStdout }: ToolRun): Promise<void> {
  if (!stdout || !onStdout) return
  for await (const chunk of stdout) onStdout(chunk)
}

async function readStderr({ stderr }: ChildProcess, { onStderrLine }: ToolRun): Promise<void> {
  if (!stderr) return
  for await (const line of createInterface({ input: stderr })) onStderrLine?.(line)
}

/**
 * Pumps the stream in. When reading fails the error comes out and the program must be killed: an end of input is no error to psql, which would
 * take half a script for a whole one.
 */
async function feed(child: ChildProcess, run: ToolRun): Promise<void> {
  const { stdin } = child
  if (!stdin || typeof run.stdin !== 'object') return
  const source = run.stdin
  const pipe = finished(stdin, { readable: false }).catch((error: unknown) => {
    source.destroy()
    // The program ended before it had read everything: its exit status tells why.
    if (!isSystemError(error, 'EPIPE', 'ECONNRESET', 'ERR_STREAM_PREMATURE_CLOSE')) throw error
  })
  const read = finished(source, { writable: false }).catch((error: unknown) => {
    if (!isSystemError(error, 'ERR_STREAM_PREMATURE_CLOSE')) throw error
  })
  source.pipe(stdin)
  await Promise.all([read, pipe])
}

function stopGroup(child: ChildProcess): void {
  killGroup(child, 'SIGTERM')
  const timer = setTimeout(() => killGroup(child, 'SIGKILL'), stopGraceMs)
  child.once('close', () => {
    clearTimeout(timer)
    killGroup(child, 'SIGKILL')
  })
}

function killGroup(child: ChildProcess, signal: NodeJS.Signals): void {
  if (child.pid === undefined) return
  try {
    process.kill(-child.pid, signal)
  } catch (error) {
    if (!isSystemError(error, 'ESRCH')) throw error
  }
}

function aborted(run: ToolRun): ProvisionError {
  return new ProvisionError('ABORTED', `${run.argv[0].split('/').at(-1)} was stopped on request`)
}
