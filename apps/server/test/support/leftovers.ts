import { execFile } from 'node:child_process'
import { readdir, readFile, readlink } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { isSystemError } from '@dblab/provision'

const execute = promisify(execFile)

/** Everything of a lab that a machine could be left with, by kind. */
export interface Leftovers {
  volumes: string[]
  snapshots: string[]
  /** Postgres servers (postmasters) whose data lies below the lab's directory. */
  servers: string[]
  records: string[]
  sockets: string[]
  mounts: string[]
  loops: string[]
}

/** What there is of the lab in a directory, as the machine has it: read without the lab's own code. */
export async function leftovers(directory: string): Promise<Leftovers> {
  const lab = join(directory, '.dblab')
  return {
    volumes: await names(join(lab, 'pool/volumes')),
    snapshots: await names(join(lab, 'pool/snapshots')),
    servers: await serversBelow(directory),
    records: await names(join(lab, 'postgres/instances')),
    sockets: await names(join(lab, 'postgres/sockets')),
    mounts: (await readFile('/proc/self/mounts', 'utf8'))
      .split('\n')
      .filter((line) => line.split(' ')[1]?.startsWith(`${directory}/`)),
    loops: await loopsBelow(directory),
  }
}

async function names(directory: string): Promise<string[]> {
  try {
    return (await readdir(directory)).sort()
  } catch (error) {
    if (isSystemError(error, 'ENOENT')) return []
    throw error
  }
}

/** A postmaster's working directory is its data directory. So is its children's, which bear its command line too until they know what they do. */
async function serversBelow(directory: string): Promise<string[]> {
  const found: { pid: string; parent: string | undefined; cwd: string }[] = []
  for (const pid of await readdir('/proc')) {
    if (!/^\d+$/.test(pid)) continue
    try {
      const cwd = await readlink(`/proc/${pid}/cwd`)
      const command = await readFile(`/proc/${pid}/cmdline`, 'utf8')
      if (!cwd.startsWith(`${directory}/`) || !/postgres\0/.test(command)) continue
      const parent = /^PPid:\s+(\d+)$/m.exec(await readFile(`/proc/${pid}/status`, 'utf8'))?.[1]
      found.push({ pid, parent, cwd })
    } catch (error) {
      // It ended while it was looked at.
      if (!isSystemError(error, 'ENOENT', 'ESRCH', 'EACCES')) throw error
    }
  }
  const pids = new Set(found.map(({ pid }) => pid))
  return found.filter(({ parent = '' }) => !pids.has(parent)).map(({ pid, cwd }) => `${pid} ${cwd}`)
}

async function loopsBelow(directory: string): Promise<string[]> {
  const { stdout } = await execute('/usr/sbin/losetup', ['--list', '--noheadings', '--output', 'BACK-FILE'])
  return stdout.split('\n').filter((file) => file.startsWith(`${directory}/`))
}
