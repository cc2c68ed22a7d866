import { readFile } from 'node:fs/promises'

/**
 * Memory of a process and its children, each page that several processes share counted in parts (Pss of man 5 proc_pid_smaps).
 *
 * @param pid a postmaster: its servers are its children, and have none
 * @returns bytes
 * @throws Error of a system call for a process that has ended
 */
export async function proportionalBytes(pid: number): Promise<number> {
  const children = (await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8')).trim().split(/\s+/).filter(Boolean)
  const texts = await Promise.all([pid, ...children].map((each) => readFile(`/proc/${each}/smaps_rollup`, 'utf8')))
  return texts.reduce((sum, text) => sum + kilobytesOf('Pss', text), 0) * 1024
}

/** Memory that is resident for a process, in bytes. */
export async function residentBytes(pid: number): Promise<number> {
  return kilobytesOf('VmRSS', await readFile(`/proc/${pid}/status`, 'utf8')) * 1024
}

/** Of a line such as `Pss:      1234 kB`. */
export function kilobytesOf(name: string, text: string): number {
  const found = new RegExp(`^${name}:\\s+(\\d+) kB$`, 'm').exec(text)?.[1]
  if (found === undefined) throw new Error(`the system does not say ${name} of a process`)
  return Number(found)
}
