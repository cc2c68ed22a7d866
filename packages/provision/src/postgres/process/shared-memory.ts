import { readFile, rm } from 'node:fs/promises'
import { endianness } from 'node:os'
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

const SEGMENT = '/dev/shm/PostgreSQL.'
/** PG_DYNSHMEM_CONTROL_MAGIC, and the layout of dsm_control_header and dsm_control_item, of PostgreSQL 14 to 18 on 64 bits: dsm.c. */
const CONTROL = { magic: 0x9a503d32, headerBytes: 16, itemBytes: 40 } as const

/**
 * The segments that those of a server name: one of them is its list of all the others, of which some may be mapped by no process. From
 * it Postgres itself cleans up after a crash (dsm_cleanup_using_control_segment), when it is started on the same directory again.
 */
export async function withListed(segments: Iterable<string>): Promise<string[]> {
  const all = new Set(segments)
  for (const path of [...all]) {
    const content = await readOrGone(path)
    if (content !== undefined) for (const handle of listedHandles(content)) all.add(`${SEGMENT}${handle}`)
  }
  return [...all]
}

/** Empty for a segment that is no list. */
export function listedHandles(content: Buffer): number[] {
  const { magic, headerBytes, itemBytes } = CONTROL
  const number = (offset: number) =>
    endianness() === 'LE' ? content.readUInt32LE(offset) : content.readUInt32BE(offset)
  if (content.length < headerBytes || number(0) !== magic) return []
  const handles: number[] = []
  for (let item = 0; item < number(4); item++) {
    const offset = headerBytes + item * itemBytes
    if (offset + itemBytes > content.length) break
    // A count of references of 0: the place is free.
    if (number(offset + 4) > 0) handles.push(number(offset))
  }
  return handles
}

async function readOrGone(path: string): Promise<Buffer | undefined> {
  try {
    return await readFile(path)
  } catch (error) {
    if (isSystemError(error, 'ENOENT')) return undefined
    throw error
  }
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
