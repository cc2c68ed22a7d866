import { execFile } from 'node:child_process'
import { readdir, readFile, readlink, stat } from 'node:fs/promises'
import { promisify } from 'node:util'
import { isSystemError } from '@dblab/provision'

const execute = promisify(execFile)
const PATH = `${process.env.PATH}:/usr/local/sbin:/usr/sbin:/sbin`

/** The machine as it is, read without the lab's own code: what it says would be what it believes. */
export interface MachineProcess {
  pid: number
  parent: number
  cwd: string
  /** Arguments, or what the process writes over them. */
  command: string[]
}

export async function processes(): Promise<MachineProcess[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name)).map(Number)
  const found = await Promise.all(pids.map((pid) => orGone(() => readProcess(pid))))
  return found.filter((process) => process !== undefined)
}

async function readProcess(pid: number): Promise<MachineProcess | undefined> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8')
  const [state, parent] = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  if (state === 'Z' || state === 'X') return undefined
  const command = (await readFile(`/proc/${pid}/cmdline`, 'utf8')).split('\0').filter((word) => word !== '')
  return { pid, parent: Number(parent), cwd: await readlink(`/proc/${pid}/cwd`), command }
}

/** Undefined for what ended while it was looked at, or a thread of the kernel. */
async function orGone<T>(read: () => Promise<T>): Promise<T | undefined> {
  try {
    return await read()
  } catch (error) {
    if (isSystemError(error, 'ENOENT', 'ESRCH', 'EACCES', 'EPERM')) return undefined
    throw error
  }
}

/** The first process of the Postgres that was started for this port by a lab in this directory. */
export async function postmasterOnPort(directory: string, port: number): Promise<number | undefined> {
  const found = (await processes()).filter(
    ({ command }) => command.includes(`port=${port}`) && command.some((word) => word.includes(directory)),
  )
  const pids = new Set(found.map(({ pid }) => pid))
  return found.find(({ parent }) => !pids.has(parent))?.pid
}

/** Ports of TCP over IPv4 that somebody listens on (proc(5), /proc/net/tcp). */
export async function listeningPorts(): Promise<Set<number>> {
  const lines = (await readFile('/proc/net/tcp', 'utf8')).split('\n').slice(1)
  const LISTEN = '0A'
  return new Set(
    lines
      .map((line) => line.trim().split(/\s+/))
      .filter(([, , , state]) => state === LISTEN)
      .map(([, local]) => Number.parseInt(local?.split(':')[1] ?? '', 16)),
  )
}

export async function mountsBelow(directory: string): Promise<string[]> {
  const lines = (await readFile('/proc/self/mounts', 'utf8')).split('\n')
  return lines.map((line) => line.split(' ')[1] ?? '').filter((at) => at.startsWith(`${directory}/`))
}

export async function loopsBelow(directory: string): Promise<string[]> {
  const { stdout } = await execute('losetup', ['--list', '--noheadings', '--output', 'BACK-FILE'], { env: { PATH } })
  return stdout.split('\n').filter((file) => file.startsWith(`${directory}/`))
}

/** Datasets and snapshots below a dataset, without its own name before theirs. */
export async function datasetsBelow(dataset: string): Promise<string[]> {
  const { stdout } = await execute('zfs', ['list', '-H', '-o', 'name', '-t', 'all', '-r', dataset], { env: { PATH } })
  return stdout.split('\n').flatMap((name) => (name.startsWith(`${dataset}/`) ? [name.slice(dataset.length + 1)] : []))
}

/** Unmounts a dataset and all below it. */
export async function unmountBelow(dataset: string): Promise<void> {
  const argv = ['list', '-H', '-o', 'name,mounted', '-t', 'filesystem', '-r', dataset]
  const { stdout } = await execute('zfs', argv, { env: { PATH } })
  const mounted = stdout.split('\n').flatMap((line) => (line.endsWith('\tyes') ? [line.split('\t')[0] ?? ''] : []))
  for (const name of mounted.reverse()) await execute('zfs', ['unmount', name], { env: { PATH } })
}

/**
 * Shared memory of Postgres servers that nobody uses: what a killed one leaves. System V segments that no process has attached, and
 * files below /dev/shm that none has mapped.
 */
export async function unusedSharedMemory(): Promise<Set<string>> {
  const unused = new Set<string>()
  for (const line of (await readFile('/proc/sysvipc/shm', 'utf8')).split('\n').slice(1)) {
    const [, id, , , creator, , attached] = line.trim().split(/\s+/)
    if (attached === '0') unused.add(`System V segment ${id} of process ${creator}`)
  }
  const files = (await readdir('/dev/shm')).filter((name) => name.startsWith('PostgreSQL.'))
  if (files.length === 0) return unused
  const maps = await Promise.all(
    (await processes()).map(({ pid }) => orGone(() => readFile(`/proc/${pid}/maps`, 'utf8'))),
  )
  const mapped = maps.join('\n')
  for (const name of files) if (!mapped.includes(`/dev/shm/${name}`)) unused.add(`/dev/shm/${name}`)
  return unused
}

/** What a segment looks like that nobody uses: enough to tell what it was, after the machine is gone. */
export async function describeMemory(unused: string): Promise<string> {
  if (!unused.startsWith('/')) return unused
  const found = await orGone(async () => ({ stats: await stat(unused), content: await readFile(unused) }))
  if (!found) return unused
  const { size, mtime } = found.stats
  const holds = found.content.every((byte) => byte === 0) ? 'zeros' : found.content.subarray(0, 64).toString('hex')
  return `${unused} (${size} bytes, changed at ${mtime.toISOString()}, ${holds})`
}
