import { type BigIntStats, readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { readFile, readlink, stat } from 'node:fs/promises'
import { basename } from 'node:path'
import { isSystemError } from '../../errors.ts'
import { allPids } from '../../pids.ts'
import {
  type MappedMemory,
  type PostgresProcess,
  type ProcessIdentity,
  type ProcessTable,
  SINGLE_USER,
} from './processes.ts'
import { WorkingDirectories } from './working-directories.ts'

/** What reading about a process that has just ended fails with, and about one that is hidden from us. */
const ENDED = ['ENOENT', 'ESRCH', 'ENOTDIR'] as const
const HIDDEN = ['EACCES', 'EPERM'] as const

/** A whole path, and no part of another: whoever holds a file open chooses its name. */
const SEGMENT = /^\/dev\/shm\/PostgreSQL\.\d+$/
/** The last field of a line of /proc/<pid>/maps, after address, permissions, offset, device and inode; line breaks in it are escaped. */
const MAPPED_FILE = /^(?:\S+ +){5}(\/.*)$/
/** A System V segment there: its key is the name of the file, and its id the inode (shmem_kernel_file_setup, ipc/shm.c). */
const SYSTEM_V = /^(?:\S+ +){4}(\d+) +\/SYSV[0-9a-f]{8}(?: \(deleted\))?$/

interface Found {
  command: string
  parent: number
  /** A letter, of which T is stopped by a signal. */
  state: string
  startedAt: string
}

/**
 * Reads /proc (man 5 proc). Starts no program.
 *
 * What the kernel tells of a process without asking anybody else is read at once, in a tenth of the time that threads take for it, and without the
 * 64 kB that `readFile` takes for each file whose size it is not told. Its command line, its maps and its directory are not: they wait for a
 * process that is stuck in the memory it shares, or for its disk.
 */
export class LinuxProcesses implements ProcessTable {
  readonly #working = new WorkingDirectories({ allPids, directoryOf: (pid) => statOrGone(`/proc/${pid}/cwd`) })
  #bootId: string | undefined

  async identify(pid: number): Promise<ProcessIdentity | undefined> {
    const found = this.#read(pid)
    return found && { pid, startedAt: found.startedAt }
  }

  async inDirectory(dataDir: string): Promise<PostgresProcess[]> {
    const found = await Promise.all((await this.#pidsIn(dataDir)).map((pid) => this.#postgres(pid)))
    return found.filter((process) => process !== undefined)
  }

  async makersIn(dataDir: string): Promise<ProcessIdentity[]> {
    const found = await Promise.all(
      (await this.#pidsIn(dataDir)).map(async (pid) => {
        const [program = '', how = ''] = (await readOrGone(`/proc/${pid}/cmdline`))?.split('\0') ?? []
        const name = basename(program)
        const makes = name === 'initdb' || (name === 'postgres' && SINGLE_USER.some((word) => word === how))
        return makes ? this.identify(pid) : undefined
      }),
    )
    return found.filter((process) => process !== undefined)
  }

  async childrenOf(server: number): Promise<PostgresProcess[]> {
    const found = await Promise.all((await this.startedBy(server)).map(({ pid }) => this.#postgres(pid)))
    return found.filter((process) => process?.parent === server).filter((process) => process !== undefined)
  }

  async startedBy(server: number): Promise<ProcessIdentity[]> {
    // Postgres has one thread. Kernels without CONFIG_PROC_CHILDREN have no such file.
    const listed = orNoneNow(() => readFileSync(`/proc/${server}/task/${server}/children`, 'utf8'), ENDED, HIDDEN)
    const pids = listed === undefined ? await allPids() : (listed.match(/\d+/g) ?? []).map(Number)
    return pids.flatMap((pid) => {
      const found = this.#read(pid)
      return found?.command === 'postgres' && found.parent === server ? [{ pid, startedAt: found.startedAt }] : []
    })
  }

  async sharedMemory(pid: number): Promise<MappedMemory | undefined> {
    try {
      // In the order in which Postgres does it: what is open now is mapped next.
      const open = openFiles(pid)
      const lines = (await orEnded(readFile(`/proc/${pid}/maps`, 'utf8')))?.split('\n') ?? []
      const mapped = lines.map((line) => MAPPED_FILE.exec(line)?.[1] ?? '')
      return {
        posix: [...new Set([...open, ...mapped])].filter((path) => SEGMENT.test(path)),
        systemV: lines.flatMap((line) => SYSTEM_V.exec(line)?.[1] ?? []).map(Number),
      }
    } catch (error) {
      if (isSystemError(error, ...HIDDEN)) return undefined
      throw error
    }
  }

  async mayBelongTo(uid: number, pid: number): Promise<boolean> {
    const status = await orGone(readFile(`/proc/${pid}/status`, 'utf8'))
    // Real, effective, saved, and of the file system (proc_pid_status(5)).
    const uids = /^Uid:\s+(.*)$/m.exec(status ?? '')?.[1]
    return uids === undefined || uids.split(/\s+/).map(Number).includes(uid)
  }

  async hasHalted({ pid, startedAt }: ProcessIdentity): Promise<boolean> {
    const found = this.#read(pid)
    return found?.startedAt !== startedAt || found.state === 'T' || found.state === 't'
  }

  /** By the directory itself, not by its name: names change with mounts and renames, and a copy has another inode or device. */
  async #pidsIn(dataDir: string): Promise<number[]> {
    const wanted = await statOrGone(dataDir)
    return wanted === undefined ? pidsNaming(dataDir) : this.#working.pidsIn(wanted)
  }

  async #postgres(pid: number): Promise<PostgresProcess | undefined> {
    const process = this.#read(pid)
    if (process?.command !== 'postgres') return undefined
    // The children write what they are over their copy of the command line: `postgres: checkpointer`.
    const title = await readOrGone(`/proc/${pid}/cmdline`)
    if (title === undefined) return undefined
    const { startedAt, parent } = process
    return { pid, startedAt, parent, isServer: !title.startsWith('postgres: '), title }
  }

  /** /proc/<pid>/stat. The name of the command stands in parentheses and may hold any character, parentheses too. */
  #read(pid: number): Found | undefined {
    const line = orNoneNow(() => readFileSync(`/proc/${pid}/stat`, 'utf8'), ENDED, HIDDEN)
    if (line === undefined) return undefined
    const end = line.lastIndexOf(')')
    const [state, parent, ...rest] = line.slice(end + 2).split(' ')
    // Field 22 of the line is the start in clock ticks since the boot; `rest` begins at field 5.
    const ticks = rest[17]
    if (state === undefined || state === 'Z' || state === 'X' || ticks === undefined) return undefined
    this.#bootId ??= readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()
    return {
      command: line.slice(line.indexOf('(') + 1, end),
      parent: Number(parent),
      state,
      startedAt: `${this.#bootId}/${ticks}`,
    }
  }
}

/** Of a directory that is not there: by the name that it had. */
async function pidsNaming(dataDir: string): Promise<number[]> {
  const pids = await allPids()
  const targets = await Promise.all(pids.map((pid) => readlinkOrGone(`/proc/${pid}/cwd`)))
  return pids.filter((_, index) => targets[index] === dataDir || targets[index] === `${dataDir} (deleted)`)
}

/** What the descriptors of a process lead to. @throws system error EACCES where it is hidden from us */
function openFiles(pid: number): string[] {
  const directory = `/proc/${pid}/fd`
  const names = orNoneNow(() => readdirSync(directory), ENDED) ?? []
  return names.flatMap((name) => orNoneNow(() => readlinkSync(`${directory}/${name}`), ENDED) ?? [])
}

async function statOrGone(path: string): Promise<BigIntStats | undefined> {
  return orGone(stat(path, { bigint: true }))
}

async function readlinkOrGone(path: string): Promise<string | undefined> {
  return orGone(readlink(path))
}

async function readOrGone(path: string): Promise<string | undefined> {
  return orGone(readFile(path, 'utf8'))
}

/** Undefined for one that is hidden from us, too. */
async function orGone<T>(reading: Promise<T>): Promise<T | undefined> {
  return orNone(reading, ENDED, HIDDEN)
}

async function orEnded<T>(reading: Promise<T>): Promise<T | undefined> {
  return orNone(reading, ENDED)
}

async function orNone<T>(reading: Promise<T>, ...codes: (readonly string[])[]): Promise<T | undefined> {
  try {
    return await reading
  } catch (error) {
    if (isSystemError(error, ...codes.flat())) return undefined
    throw error
  }
}

function orNoneNow<T>(read: () => T, ...codes: (readonly string[])[]): T | undefined {
  try {
    return read()
  } catch (error) {
    if (isSystemError(error, ...codes.flat())) return undefined
    throw error
  }
}
