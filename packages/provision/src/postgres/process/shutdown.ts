import { setImmediate, setTimeout as sleep } from 'node:timers/promises'
import { ProvisionError } from '../../errors.ts'
import { failPoint } from '../../faults/faults.ts'
import type { Account } from '../runtime.ts'
import { readPostmasterFile, type Sentinel } from './postmaster-file.ts'
import {
  isRunning,
  killProcess,
  type MappedMemory,
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
  /** SIGQUIT, "immediate": Postgres itself kills what has not ended after 5 seconds (postmaster.c). */
  quitMs: number
  /** SIGSTOP, which a process in the kernel takes when it is out of there. */
  haltMs: number
  /** SIGKILL: only a process stuck in the kernel survives it for longer. */
  killMs: number
}

export const STOP_DEADLINES: StopDeadlines = { fastMs: 120_000, quitMs: 10_000, haltMs: 2000, killMs: 20_000 }

/** A server that is to stop. */
export interface Target {
  dataDir: string
  postmaster: ProcessIdentity | undefined
  /** The account that it runs as. */
  owner: Account
  /** What it is known to have made; more is looked up when it comes to SIGKILL. */
  sharedMemory: readonly string[]
  /** Undefined where it was not noted: then its own file tells. */
  sentinel?: Sentinel | undefined
  /** Told that it is about to be killed, and of all that it has made: from then on nothing else tells. */
  note: (sharedMemory: string[]) => Promise<void>
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
  if (mode === 'clean' && postmaster !== undefined && (await isRunning(table, postmaster))) {
    const ended = await signalAndWait(table, postmaster, 'SIGINT', deadlines.fastMs)
    const died = (await readPostmasterFile(target.dataDir))?.pid === postmaster.pid
    if (ended && !died) return true
  }
  await killAll(table, target, deadlines)
  return postmaster === undefined || mode === 'immediate'
}

/** How many times it is looked for what takes a process less than the shortest sleep. */
const AT_ONCE = 5

/** True when the server has ended in time; at once if it had before. */
async function signalAndWait(
  table: ProcessTable,
  target: ProcessIdentity,
  signal: NodeJS.Signals,
  timeoutMs: number,
): Promise<boolean> {
  if (!(await signalProcess(table, target, signal))) return true
  // One that stands still would not hear.
  await resume(table, target)
  return untilAll([target], async (each) => !(await isRunning(table, each)), timeoutMs)
}

/**
 * Looks more and more rarely. There is no event to wait for: whoever started the process may be long gone, and a process that is not
 * our child tells nobody of its end.
 */
async function untilAll(
  targets: readonly ProcessIdentity[],
  holds: (target: ProcessIdentity) => Promise<boolean>,
  timeoutMs: number,
): Promise<boolean> {
  const deadline = Date.now() + timeoutMs
  for (let looks = 1, waitMs = 1; ; looks++) {
    if (!(await Promise.all(targets.map(holds))).includes(false)) return true
    if (Date.now() >= deadline) return false
    if (looks <= AT_ONCE) await setImmediate()
    else await sleep(waitMs)
    if (looks > AT_ONCE) waitMs = Math.min(waitMs * 1.5, 100)
  }
}

/**
 * SIGKILL for the server and for all that works in its directory: children are in sessions of their own, so no process group holds
 * them all. Then frees the memory, which nothing else does after that signal.
 *
 * Not by Postgres' own "immediate" shutdown (SIGQUIT): it frees what is in its list, and a process that it cuts off between making a
 * segment and entering it there (dsm_create in dsm.c) leaves that for good. A start of a parallel query is such a moment, and a
 * reset or a deletion comes when it comes. Only where nobody else can tell what it has made is it asked first: then that is the most
 * that can be freed.
 */
async function killAll(table: ProcessTable, target: Target, deadlines: StopDeadlines): Promise<void> {
  const { dataDir, postmaster, sharedMemory, note } = target
  let runs = postmaster !== undefined && (await isRunning(table, postmaster))
  if (runs) await note([...sharedMemory])
  if (runs && postmaster && (await table.sharedMemory(postmaster.pid)) === undefined)
    runs = !(await signalAndWait(table, postmaster, 'SIGQUIT', deadlines.quitMs))
  const { haltMs, killMs } = deadlines
  const ours = async () => leftBy(postmaster, await inDirectoryOf(table, dataDir, runs ? postmaster : undefined))
  // Those that it has started first, which costs little: what else works there is then looked for once, where nothing new comes any more.
  const started =
    runs && postmaster ? await haltAll(table, [postmaster], () => startedBy(table, postmaster), haltMs) : []
  const processes = await haltAll(table, started, ours, haltMs)
  const { posix, systemV: attached } = await memoryOf(table, processes)
  const made = new Set([...sharedMemory, ...posix])
  if (made.size > sharedMemory.length) await note([...made])
  await killThem(table, processes, killMs)
  await failPoint('postgres.killed')
  const systemV = attached.length > 0 ? { attached } : ((await leftBehind(target)) ?? 'none')
  const pids = postmaster === undefined ? [] : [postmaster.pid]
  await freeSharedMemory({ pids, systemV, posix: await withListed(made), owner: target.owner })
}

/** Has a server, and all that it has started, stand still. It does when this resolves, but for what is stuck in the kernel for so long. */
export async function halt(table: ProcessTable, postmaster: ProcessIdentity, haltMs: number): Promise<void> {
  await haltAll(table, [postmaster], () => startedBy(table, postmaster), haltMs)
}

/** What stands still goes on, or will not stand still; the server itself first, which has them hear what it was told meanwhile. */
export async function resume(table: ProcessTable, postmaster: ProcessIdentity): Promise<void> {
  await signalProcess(table, postmaster, 'SIGCONT')
  for (const each of await startedBy(table, postmaster)) await signalProcess(table, each, 'SIGCONT')
}

/** Nothing of one that has ended, whose pid may be another server's by now. */
export async function startedBy(table: ProcessTable, postmaster: ProcessIdentity): Promise<ProcessIdentity[]> {
  const found = await table.startedBy(postmaster.pid)
  return (await isRunning(table, postmaster)) ? found : []
}

/** Ends what still makes a cluster in a directory, with the memory that it has made. */
export async function evict(
  table: ProcessTable,
  dataDir: string,
  owner: Account,
  { haltMs, killMs }: StopDeadlines = STOP_DEADLINES,
): Promise<void> {
  const processes = await haltAll(table, [], () => table.makersIn(dataDir), haltMs)
  const { posix, systemV } = await memoryOf(table, processes)
  await killThem(table, processes, killMs)
  const pids = processes.map(({ pid }) => pid)
  await freeSharedMemory({ pids, systemV: { attached: systemV }, posix: await withListed(posix), owner })
}

async function memoryOf(table: ProcessTable, processes: readonly ProcessIdentity[]): Promise<MappedMemory> {
  const found = await Promise.all(processes.map(({ pid }) => table.sharedMemory(pid)))
  return {
    posix: found.flatMap((memory) => memory?.posix ?? []),
    systemV: found.flatMap((memory) => memory?.systemV ?? []),
  }
}

/** The first process first: had it not halted, it would start others in the place of those that end. */
async function killThem(table: ProcessTable, processes: readonly ProcessIdentity[], killMs: number): Promise<void> {
  for (const each of processes) await killProcess(table, each)
  if (await untilAll(processes, async (each) => !(await isRunning(table, each)), killMs)) return
  throw new ProvisionError('FAILED', 'a Postgres process does not end, not even by SIGKILL', {
    hint: 'It waits for a disk that does not answer. Look at the storage.',
  })
}

/** The segment of a server that ended long ago, whose pid may be somebody else's by now. */
async function leftBehind({ dataDir, postmaster, sentinel }: Target): Promise<Sentinel | undefined> {
  if (sentinel !== undefined) return sentinel
  const file = await readPostmasterFile(dataDir)
  // One that names another process came with the copy, and speaks of memory that is in use.
  return postmaster !== undefined && file?.pid === postmaster.pid ? file.sentinel : undefined
}

/**
 * Has them all stand still, so that what they have made is all that there will be.
 *
 * @returns all that were there, the first process first. One that does not halt in time is among them.
 */
async function haltAll(
  table: ProcessTable,
  first: readonly ProcessIdentity[],
  all: () => Promise<ProcessIdentity[]>,
  timeoutMs: number,
): Promise<ProcessIdentity[]> {
  const deadline = Date.now() + timeoutMs
  const known = new Map<number, ProcessIdentity>()
  // From then on there are no new ones, but for what those that are there are about to fork.
  let next = first
  do {
    for (const each of next) {
      known.set(each.pid, each)
      await signalProcess(table, each, 'SIGSTOP')
    }
    await untilAll(next, (each) => table.hasHalted(each), Math.max(deadline - Date.now(), 0))
    next = (await all()).filter(({ pid }) => !known.has(pid))
  } while (next.length > 0)
  return [...known.values()]
}

/**
 * Where not even the server is seen to work in its directory, as where we may not look or the pool was unmounted beneath it, those that
 * it started are known by their parent.
 */
async function inDirectoryOf(
  table: ProcessTable,
  dataDir: string,
  postmaster: ProcessIdentity | undefined,
): Promise<PostgresProcess[]> {
  const found = await table.inDirectory(dataDir)
  if (postmaster === undefined || found.some(({ pid }) => pid === postmaster.pid)) return found
  return [...found, ...(await table.childrenOf(postmaster.pid))]
}

/** Without a server that somebody has started on the directory since, and what works for that one. */
function leftBy(ours: ProcessIdentity | undefined, all: readonly PostgresProcess[]): PostgresProcess[] {
  const other = postmasterOf(all.filter(({ pid, parent }) => pid !== ours?.pid && parent !== ours?.pid))
  return all.filter(({ pid, parent }) => other === undefined || (pid !== other.pid && parent !== other.pid))
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
