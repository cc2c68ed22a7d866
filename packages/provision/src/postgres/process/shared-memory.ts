import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs'
import { lstat, readFile, rm } from 'node:fs/promises'
import { endianness } from 'node:os'
import { setTimeout as sleep } from 'node:timers/promises'
import { mapInTurn } from '../../bounded.ts'
import { isSystemError, ProvisionError } from '../../errors.ts'
import { CommandError, run } from '../../exec.ts'
import type { Account } from '../runtime.ts'
import type { Sentinel } from './postmaster-file.ts'

/** What a server that was killed by SIGKILL leaves behind in the system's memory, where nothing else ever frees it. */
export interface SharedMemory {
  /** Of the processes that made it: a System V segment remembers its creator. */
  pids: readonly number[]
  systemV: OwnSegments
  /** Files below /dev/shm, in the order in which they go. */
  posix: readonly string[]
  /** The account of the server: the memory of no other is freed, whatever leads to it. */
  owner: Account
}

/**
 * System V segments of a server: those that it had attached until just now; or the one that was noted, or that its data directory tells
 * of, which may be somebody else's by now.
 */
export type OwnSegments = { attached: readonly number[] } | Sentinel | 'none'

/** What is there by such a name may be anything by now: a FIFO, for which one would wait, or a link. */
const CAREFULLY = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK
/** As many as a server of ten thousand connections can have; of more that a list claims to have, the rest is not read. */
const MOST_ITEMS = 65_536
/** Longer than a look at /proc takes on a machine that is very busy. */
const LET_GO_WITHIN_MS = 1000
const SEGMENT = '/dev/shm/PostgreSQL.'
/** PG_DYNSHMEM_CONTROL_MAGIC, and the layout of dsm_control_header and dsm_control_item, of PostgreSQL 14 to 18 on 64 bits: dsm.c. */
const CONTROL = { magic: 0x9a503d32, headerBytes: 16, itemBytes: 40 } as const

/**
 * The segments that those of a server name: one of them is its list of all the others, of which some may be mapped by no process. From
 * it Postgres itself cleans up after a crash (dsm_cleanup_using_control_segment), when it is started on the same directory again.
 *
 * @returns lists last: whoever frees one after the other, and is cut off, still finds what is left
 */
export async function withListed(segments: Iterable<string>): Promise<string[]> {
  const others = new Set<string>()
  const lists = new Set<string>()
  await mapInTurn(new Set(segments), (path) => {
    const handles = readList(path)
    if (handles.length > 0) lists.add(path)
    else others.add(path)
    for (const handle of handles) others.add(`${SEGMENT}${handle}`)
  })
  return [...others, ...lists]
}

/** No more of a segment than its list: others hold as much as a query needs. At once, as memory keeps nobody waiting. */
function readList(path: string): number[] {
  let file: number
  try {
    file = openSync(path, CAREFULLY)
  } catch (error) {
    // Gone, or a link, or a socket.
    if (isSystemError(error, 'ENOENT', 'ELOOP', 'ENXIO')) return []
    throw error
  }
  try {
    if (!fstatSync(file).isFile()) return []
    const { headerBytes, itemBytes } = CONTROL
    const items = listLength(readStart(file, headerBytes))
    return items === 0 ? [] : listedHandles(readStart(file, headerBytes + items * itemBytes))
  } finally {
    closeSync(file)
  }
}

function readStart(file: number, bytes: number): Buffer {
  const buffer = Buffer.alloc(Math.min(fstatSync(file).size, bytes))
  return buffer.subarray(0, readSync(file, buffer, 0, buffer.length, 0))
}

/** Empty for a segment that is no list. */
export function listedHandles(content: Buffer): number[] {
  const { headerBytes, itemBytes } = CONTROL
  const handles: number[] = []
  for (let item = 0; item < listLength(content); item++) {
    const offset = headerBytes + item * itemBytes
    if (offset + itemBytes > content.length) break
    // A count of references of 0: the place is free.
    if (readNumber(content, offset + 4) > 0) handles.push(readNumber(content, offset))
  }
  return handles
}

function listLength(content: Buffer): number {
  if (content.length < CONTROL.headerBytes || readNumber(content, 0) !== CONTROL.magic) return 0
  return Math.min(readNumber(content, 4), MOST_ITEMS)
}

function readNumber(content: Buffer, offset: number): number {
  return endianness() === 'LE' ? content.readUInt32LE(offset) : content.readUInt32BE(offset)
}

/** Frees it. What is somebody else's by now is left alone; what is gone already is fine. */
export async function freeSharedMemory(memory: SharedMemory): Promise<void> {
  const { pids, systemV, owner } = memory
  for (const path of memory.posix) await removeSegment(path, owner.uid)
  if (systemV === 'none') return
  const wasAttached = 'attached' in systemV
  // A creator's pid alone says nothing: segments keep it when their creator is long gone, and it is given to others.
  const isOurs = ({ key, id, creator }: Segment) =>
    pids.includes(creator) && (wasAttached ? systemV.attached.includes(id) : key === systemV.key && id === systemV.id)
  for (const { id, attached } of await unattached(isOurs)) {
    // What was its own until just now goes all the same, as soon as the last process has let go of it (shmctl(2), IPC_RMID).
    if (attached === 0 || wasAttached) await removeSystemV(id, owner)
  }
}

/** As its account, who may: root may not where it lacks CAP_SYS_ADMIN (shmctl(2)), as in most containers. */
async function removeSystemV(id: number, owner: Account): Promise<void> {
  try {
    await run(['ipcrm', '-m', String(id)], { ...(process.getuid?.() === 0 && { account: owner }) })
  } catch (error) {
    if (!(error instanceof CommandError)) throw error
    // It may have gone between the look and the call.
    if (!(await systemVSegments()).some((segment) => segment.id === id)) return
    throw new ProvisionError('FAILED', `the System V segment ${id} could not be removed`, { cause: error })
  }
}

/** A plain file of the owner's, and nothing else: in that directory nobody can put another's under a name. */
export async function removeSegment(path: string, owner: number): Promise<void> {
  try {
    const found = await lstat(path)
    if (found.isFile() && found.uid === owner) await rm(path)
  } catch (error) {
    if (!isSystemError(error, 'ENOENT')) throw error
  }
}

/**
 * Waits a moment for those that are still attached: a process that has ended lets go of its memory later, where somebody was just reading
 * about it in /proc.
 */
async function unattached(isOurs: (segment: Segment) => boolean): Promise<Segment[]> {
  for (let waitMs = 1; ; waitMs *= 2) {
    const segments = (await systemVSegments()).filter(isOurs)
    if (waitMs > LET_GO_WITHIN_MS || segments.every(({ attached }) => attached === 0)) return segments
    await sleep(waitMs)
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
