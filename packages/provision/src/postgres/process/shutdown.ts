import { setTimeout as sleep } from 'node:timers/promises'
import { ProvisionError } from '../../errors.ts'
import { readPostmasterFile } from './postmaster-file.ts'
import {
  isRunning,
  type PostgresProcess,
  type ProcessIdentity,
  type ProcessTable,
  postmasterOf,
  signalProcess,
} from './processes.ts'
import { freeSharedMemory, withListed } from './shared-memory.ts'

/** How long each signal has before the next, harder one. */
export interface StopDeadlines {
  /** SIGINT, "fast": ends sessions, writes a checkpoint. As long as it takes to write out all that is dirty. */
  fastMs: number
  /** SIGQUIT, "immediate": everything drops dead, and only shared memory is cleaned. */
  immediateMs: number
  /** SIGKILL: only a process stuck in the kernel survives it for longer. */
  killMs: number
}

export const STOP_DEADLINES: StopDeadlines = { fastMs: 120_000, immediateMs: 10_000, killMs: 10_000 }

/** A server that is to stop. */
export interface Target {
  dataDir: string
  postmaster: ProcessIdentity | undefined
  /** What it is known to have made; more is looked up when it comes to SIGKILL. */
  sharedMemory: readonly string[]
}

/**
 * Stops a server and everything that it started.
 *
 * @returns whether it stopped in the way that was asked for, or needed a harder one
 * @throws ProvisionError FAILED when something survives even SIGKILL
 */
export async function shutDown(
  table: ProcessTable,
  target: Target,
  mode: 'clean' | 'immediate',
  deadlines: StopDeadlines = STOP_DEADLINES,
): Promise<boolean> {
  const { postmaster } = target
  if (postmaster !== undefined && (await isRunning(table, postmaster))) {
    const fast = mode === 'clean' && (await signalAndWait(table, postmaster, 'SIGINT', deadlines.fastMs))
    // It takes its children along, and frees its memory.
    const ended = fast || (await signalAndWait(table, postmaster, 'SIGQUIT', deadlines.immediateMs))
    const died = (await readPostmasterFile(target.dataDir))?.pid === postmaster.pid
    if (ended && !died) return fast || mode === 'immediate'
  }
  // Killed by somebody, or about to be: whatever it would have cleaned up is left to us.
  await killAll(table, target, deadlines.killMs)
  return postmaster === undefined || mode === 'immediate'
}

/** True when the process has ended in time; at once if it had before. */
async function signalAndWait(
  table: ProcessTable,
  target: ProcessIdentity,
  signal: NodeJS.Signals,
  timeoutMs: number,
): Promise<boolean> {
  if (!(await signalProcess(table, target, signal))) return true
  return untilGone(table, [target], timeoutMs)
}

/**
 * Looks more and more rarely. There is no event to wait for: whoever started the process may be long gone, and a process that is not
 * our child tells nobody of its end.
 */
async function untilGone(
  table: ProcessTable,
  targets: readonly ProcessIdentity[],
  timeoutMs: number,
): Promise<boolean> {
  const deadline = Date.now() + timeoutMs
  for (let waitMs = 2; ; waitMs = Math.min(waitMs * 1.5, 100)) {
    const running = await Promise.all(targets.map((target) => isRunning(table, target)))
    if (!running.includes(true)) return true
    if (Date.now() >= deadline) return false
    await sleep(waitMs)
  }
}

/**
 * SIGKILL for the server and for all that works in its directory: children are in sessions of their own, so no process group holds
 * them all. Then frees the memory, which nothing else does after that signal.
 */
async function killAll(table: ProcessTable, target: Target, timeoutMs: number): Promise<void> {
  const { postmaster } = target
  const found = leftBy(postmaster, await table.inDirectory(target.dataDir))
  const isListed = found.some(({ pid }) => pid === postmaster?.pid)
  const processes: ProcessIdentity[] = postmaster === undefined || isListed ? found : [postmaster, ...found]
  const posix = new Set(target.sharedMemory)
  for (const { pid } of processes) for (const path of await table.sharedMemory(pid)) posix.add(path)
  // The first process first, or it would start others in the place of those that end.
  for (const each of byRank(processes, postmaster)) await signalProcess(table, each, 'SIGKILL')
  if (!(await untilGone(table, processes, timeoutMs))) {
    throw new ProvisionError('FAILED', 'a Postgres process does not end, not even by SIGKILL', {
      hint: 'It waits for a disk that does not answer. Look at the storage.',
    })
  }
  // Its file tells of its segment; one that names another process came with the copy, and speaks of memory that is in use.
  const file = await readPostmasterFile(target.dataDir)
  const systemV = postmaster !== undefined && file?.pid === postmaster.pid ? file.sharedMemory : undefined
  await freeSharedMemory({ pid: postmaster?.pid ?? 0, systemV, posix: await withListed(posix) })
}

/** Without a server that somebody has started on the directory since, and what works for that one. */
function leftBy(ours: ProcessIdentity | undefined, all: readonly PostgresProcess[]): PostgresProcess[] {
  const other = postmasterOf(all.filter(({ pid, parent }) => pid !== ours?.pid && parent !== ours?.pid))
  return all.filter(({ pid, parent }) => other === undefined || (pid !== other.pid && parent !== other.pid))
}

function byRank(processes: readonly ProcessIdentity[], first: ProcessIdentity | undefined): ProcessIdentity[] {
  return [...processes].sort((a, b) => Number(b.pid === first?.pid) - Number(a.pid === first?.pid))
}

/** The server that runs on this directory, whoever started it, and what a killed one left there. */
export async function findServer(
  table: ProcessTable,
  dataDir: string,
): Promise<{ postmaster: PostgresProcess | undefined; others: PostgresProcess[] }> {
  const processes = await table.inDirectory(dataDir)
  const postmaster = postmasterOf(processes)
  return { postmaster, others: processes.filter((process) => process !== postmaster) }
}
