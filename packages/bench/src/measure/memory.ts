import { readFile } from 'node:fs/promises'

/**
 * Memory of a process and its children, each page that several processes share counted in parts (Pss of man 5 proc_pid_smaps).
 *
 * @param pid a postmaster: its servers are its children, and have none
 * @returns bytes; of a child that ends meanwhile, as one does that was asked whether Postgres answers, nothing
 * @throws Error of a system call where the process itself has ended
 */
export async function proportionalBytes(pid: number): Promise<number> {
  return (await ownProportionalBytes(pid)) + (await helperBytes(pid))
}

/** The same of the processes alone that this one has started and that go on, without those that they have started in turn. */
export async function helperBytes(pid: number): Promise<number> {
  const each = await Promise.all((await childrenOf(pid)).map((child) => orNothing(ownProportionalBytes(child))))
  return each.reduce((sum, bytes) => sum + bytes, 0)
}

/** For a process that has ended: its files in /proc are gone, or can't be read any more. */
async function orNothing(reading: Promise<number>): Promise<number> {
  try {
    return await reading
  } catch (error) {
    if (error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ESRCH')) return 0
    throw error
  }
}

async function childrenOf(pid: number): Promise<number[]> {
  const listed = await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8')
  return (listed.match(/\d+/g) ?? []).map(Number)
}

async function ownProportionalBytes(pid: number): Promise<number> {
  return kilobytesOf('Pss', await readFile(`/proc/${pid}/smaps_rollup`, 'utf8')) * 1024
}

export interface Resident {
  nowBytes: number
  /** The most that there ever was. */
  peakBytes: number
}

/** Memory that is resident for a process (VmRSS and VmHWM of man 5 proc_pid_status). */
export async function resident(pid: number): Promise<Resident> {
  const text = await readFile(`/proc/${pid}/status`, 'utf8')
  return { nowBytes: kilobytesOf('VmRSS', text) * 1024, peakBytes: kilobytesOf('VmHWM', text) * 1024 }
}

/** Of a line such as `Pss:      1234 kB`. */
export function kilobytesOf(name: string, text: string): number {
  const found = new RegExp(`^${name}:\\s+(\\d+) kB$`, 'm').exec(text)?.[1]
  if (found === undefined) throw new Error(`the system does not say ${name} of a process`)
  return Number(found)
}
