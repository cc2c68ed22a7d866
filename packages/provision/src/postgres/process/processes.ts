import { platform } from 'node:os'
import { isSystemError } from '../../errors.ts'
import { LinuxProcesses } from './processes-linux.ts'
import { PsProcesses } from './processes-ps.ts'

/** Names one process for good. A pid alone is given to another process as soon as its own has ended. */
export interface ProcessIdentity {
  pid: number
  /** When it started, in the system's own terms, to be compared and nothing else. Differs after a reboot. */
  startedAt: string
}

export interface PostgresProcess extends ProcessIdentity {
  parent: number
  /** The first process of a server (or a child in the instant before it has given itself a name), not one that works for it. */
  isServer: boolean
  /** Its command line, or what it has written over that: `postgres: startup recovering 000000010000000000000003`. */
  title: string
}

/** Shared memory of a process. */
export interface MappedMemory {
  /** Segments below /dev/shm, as paths. */
  posix: string[]
  /** Ids of System V segments. */
  systemV: number[]
}

/** What the operating system says runs. A process that has ended and only waits for its parent to look (a zombie) does not. */
export interface ProcessTable {
  /** The process that has this pid now. */
  identify(pid: number): Promise<ProcessIdentity | undefined>
  /**
   * Every Postgres process whose working directory this is: the server's first process, those that it started, and those that were left
   * when it was killed. Postgres enters its data directory before it does anything else, and stays.
   */
  inDirectory(dataDir: string): Promise<PostgresProcess[]>
  /** What makes a cluster there: initdb, and servers of a single user, which it starts one after the other, as `initialise` does. */
  makersIn(dataDir: string): Promise<ProcessIdentity[]>
  /** Every Postgres process that this one has started. */
  childrenOf(pid: number): Promise<PostgresProcess[]>
  /** The same, without what would have to be asked of them: while they stand still, and while somebody waits. */
  startedBy(pid: number): Promise<ProcessIdentity[]>
  /** What this process has mapped or opened; nothing of one that has ended. Undefined where the system does not tell, or not us. */
  sharedMemory(pid: number): Promise<MappedMemory | undefined>
  /** True unless it is known that none of this process is of the account. */
  mayBelongTo(uid: number, pid: number): Promise<boolean>
  /** True once it does nothing more: stopped by SIGSTOP, or ended. A process in the kernel does what it is at first. */
  hasHalted(process: ProcessIdentity): Promise<boolean>
}

/** How a server of a single user is started, as a word of its own after the program's name (PostgreSQL 14 to 18, main.c and initdb.c). */
export const SINGLE_USER = ['--boot', '--check', '--single'] as const

/** The process that has this pid now; undefined when there is none. */
export async function identifyProcess(pid: number): Promise<ProcessIdentity | undefined> {
  return openProcessTable().identify(pid)
}

export function openProcessTable(): ProcessTable {
  return platform() === 'linux' ? new LinuxProcesses() : new PsProcesses()
}

/** Of the processes of a data directory the one that started the others. What a killed server left has none. */
export function postmasterOf<P extends Pick<PostgresProcess, 'pid' | 'parent' | 'isServer'>>(
  processes: readonly P[],
): P | undefined {
  const pids = new Set(processes.map(({ pid }) => pid))
  return processes.find(({ isServer, parent }) => isServer && !pids.has(parent))
}

export async function isRunning(table: ProcessTable, process: ProcessIdentity): Promise<boolean> {
  return (await table.identify(process.pid))?.startedAt === process.startedAt
}

/** Signals that very process; false when it has ended. Looks again right before, since pids are reused. */
export async function signalProcess(
  table: ProcessTable,
  target: ProcessIdentity,
  signal: NodeJS.Signals,
): Promise<boolean> {
  return (await isRunning(table, target)) && sendSignal(target.pid, signal)
}

/**
 * SIGKILL for that very process, and for the programs that it has started: each process of a server leads a group of its own, in which
 * they are.
 */
export async function killProcess(table: ProcessTable, target: ProcessIdentity): Promise<void> {
  if (!(await isRunning(table, target))) return
  sendSignal(-target.pid, 'SIGKILL')
  // One that was just forked leads none yet.
  sendSignal(target.pid, 'SIGKILL')
}

function sendSignal(pid: number, signal: NodeJS.Signals): boolean {
  try {
    return process.kill(pid, signal)
  } catch (error) {
    if (isSystemError(error, 'ESRCH')) return false
    throw error
  }
}
