import { cpus, release, totalmem } from 'node:os'
import { execa } from 'execa'

/** What figures can't be read without. */
export interface Machine {
  date: string
  cpu: string
  memoryGiB: number
  kernel: string
  /** The storage's programs. */
  storage: string
  node: string
}

export async function thisMachine(driver: 'btrfs' | 'zfs'): Promise<Machine> {
  const { stdout } = await execa(driver, ['--version'])
  return {
    date: new Date().toISOString().slice(0, 10),
    cpu: `${cpus().length} x ${cpus()[0]?.model.trim() ?? 'unknown'}`,
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    kernel: release(),
    storage: stdout.split('\n')[0] ?? '',
    node: process.version,
  }
}
