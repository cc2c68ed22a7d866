import { isSystemError } from '../../errors.ts'
import { readPostmasterFile } from './postmaster-file.ts'
import { isRunning, type ProcessIdentity, type ProcessTable } from './processes.ts'
import type { InstanceDirectory, InstanceRecord, ProcessRecord } from './record.ts'
import { findServer } from './shutdown.ts'

/** Writes down which process a server has become. Undefined when it has ended already. */
export async function noteProcess(
  table: ProcessTable,
  directory: InstanceDirectory,
  pid: number,
): Promise<ProcessIdentity | undefined> {
  const identity = await table.identify(pid)
  if (identity !== undefined) directory.writeProcess({ ...identity, sharedMemory: [] })
  return identity
}

/** Adds what memory it has made, which is all there by the time that it takes connections. */
export async function noteMemory(
  table: ProcessTable,
  directory: InstanceDirectory,
  { pid, startedAt }: ProcessIdentity,
  dataDir: string,
): Promise<void> {
  const sharedMemory = (await table.sharedMemory(pid))?.posix ?? []
  const file = await readPostmasterFile(dataDir)
  const sentinel = file?.pid === pid ? file.sentinel : undefined
  // Asked for after its memory, so that what was read is not of another process that has its pid by now.
  if (await isRunning(table, { pid, startedAt })) directory.writeProcess({ pid, startedAt, sharedMemory, sentinel })
}

/** Writes down that it is being killed, and what memory it will leave. A full disk keeps nobody from ending a server. */
export function noteEnd(
  directory: InstanceDirectory,
  { pid, startedAt, sentinel }: Pick<ProcessRecord, 'pid' | 'startedAt' | 'sentinel'>,
  sharedMemory: string[],
): void {
  try {
    directory.writeProcess({ pid, startedAt, sharedMemory, sentinel, isEnding: true })
  } catch (error) {
    if (!isSystemError(error, 'ENOSPC', 'EDQUOT', 'EROFS')) throw error
  }
}

/** The process that was noted; or, where a crash came before the note, the server that runs on the directory. */
export async function processOf(
  table: ProcessTable,
  directory: InstanceDirectory,
  { dataDir }: InstanceRecord,
): Promise<ProcessRecord | undefined> {
  const noted = directory.readProcess()
  if (noted !== undefined) return noted
  const { postmaster } = await findServer(table, dataDir)
  if (postmaster === undefined) return undefined
  const { pid, startedAt } = postmaster
  return { pid, startedAt, sharedMemory: (await table.sharedMemory(pid))?.posix ?? [] }
}

/** True where a start was cut off before it had noted the memory of a server that runs: once that is killed, nothing else tells. */
export async function lacksMemory(table: ProcessTable, directory: InstanceDirectory): Promise<boolean> {
  const noted = directory.readProcess()
  if (noted !== undefined) return !noted.isEnding && noted.sharedMemory.length === 0 && (await isRunning(table, noted))
  const record = directory.readRecord()
  return record !== undefined && (await findServer(table, record.dataDir)).postmaster !== undefined
}
