import { readFile, rm } from 'node:fs/promises'
import { isSystemError } from '../../errors.ts'
import { CommandError, run } from '../../exec.ts'

/** What a server that was killed by SIGKILL leaves behind in the system's memory, where nothing else ever frees it. */
export interface SharedMemory {
  /** Of the server that made it: a System V segment remembers its creator. */
  pid: number
  systemV: { key: number; id: number } | undefined
  /** Files below /dev/shm. */
  posix: readonly string[]
}

/** Frees it. What is somebody else's by now, or still attached, is left alone; what is gone already is fine. */
export async function freeSharedMemory(memory: SharedMemory): Promise<void> {
  for (const path of memory.posix) await rm(path, { force: true })
  const { systemV } = memory
  if (systemV === undefined) return
  const segments = await systemVSegments()
  const isOurs = segments.some(
    ({ key, id, creator, attached }) =>
      key === systemV.key && id === systemV.id && creator === memory.pid && attached === 0,
  )
  if (!isOurs) return
  try {
    await run(['ipcrm', '-m', String(systemV.id)])
  } catch (error) {
    // It went between the look and the call: ipcrm can only fail for that reason, being given a number that was there.
    if (!(error instanceof CommandError)) throw error
  }
}

interface Segment {
  key: number
  id: number
  creator: number
  attached: number
}

/** None where the system does not list them (macOS): there, the next start on the same directory frees what was left. */
async function systemVSegments(): Promise<Segment[]> {
  try {
    return parseSegments(await readFile('/proc/sysvipc/shm', 'utf8'))
  } catch (error) {
    if (isSystemError(error, 'ENOENT')) return []
    throw error
  }
}

/** /proc/sysvipc/shm: `key shmid perms size cpid lpid nattch …` under a line of headings. Keys are printed as signed numbers. */
export function parseSegments(text: string): Segment[] {
  return text
    .split('\n')
    .slice(1)
    .flatMap((line) => {
      const [key, id, , , creator, , attached] = line.trim().split(/\s+/).map(Number)
      if (key === undefined || id === undefined || creator === undefined || attached === undefined) return []
      return [{ key, id, creator, attached }]
    })
}
