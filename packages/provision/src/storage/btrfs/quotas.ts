import { isProvisionError } from '../../errors.ts'
import { CommandError, run } from '../../exec.ts'
import { parseQuota } from './output.ts'

/** Of a pool of many terabytes; else it takes seconds. */
const COUNT_WITHIN_MS = 5 * 60_000

/**
 * Quota groups of btrfs (btrfs-qgroup(8)). Simple ones charge each block to the volume that wrote it first, and cost next to nothing; they take
 * Linux and btrfs-progs of 6.7 or newer. Full ones follow every reference to a block: see docs/decisions/limits.md for what both cost.
 */
export async function switchQuotas(directory: string, on: boolean): Promise<void> {
  if ((await quotasAreOn(directory)) !== on) {
    if (on) await enable(directory)
    else await btrfs('quota', 'disable', directory)
  }
  if (on) await settleCounts(directory)
}

async function enable(directory: string): Promise<void> {
  try {
    await btrfs('quota', 'enable', '--simple', directory)
  } catch (error) {
    // Programs that don't know the option, and kernels that don't know the ioctl's word.
    if (!(error instanceof CommandError) || !/usage:|option|Invalid argument/i.test(error.stderr)) throw error
    await btrfs('quota', 'enable', directory)
  }
}

/**
 * Waits until all is counted. Before that, and once btrfs has lost count, which it says, numbers may be off, below 0 too: a volume that holds
 * next to nothing is then refused what it writes. What takes longer than the wait goes on by itself.
 */
async function settleCounts(directory: string): Promise<void> {
  const counting = /running/.test(await btrfs('quota', 'rescan', '-s', directory))
  if (!counting && !saysInconsistent((await run(['btrfs', 'qgroup', 'show', directory])).stderr)) return
  try {
    await run(['btrfs', 'quota', 'rescan', '-w', directory], { timeoutMs: COUNT_WITHIN_MS, onlyLooks: true })
  } catch (error) {
    if (!isProvisionError(error, 'TIMEOUT')) throw error
  }
}

function saysInconsistent(stderr: string): boolean {
  return /qgroup data inconsistent/.test(stderr)
}

/** False also for those who may not know: only root may. */
export async function quotasAreOn(directory: string): Promise<boolean> {
  try {
    await btrfs('qgroup', 'show', directory)
    return true
  } catch (error) {
    if (error instanceof CommandError && /not enabled|Operation not permitted/i.test(error.stderr)) return false
    throw error
  }
}

/** The bound of this volume's own bytes; undefined when it has none. Where btrfs says that it has lost count, it is told to count anew. */
export async function quotaOf(path: string): Promise<number | undefined> {
  const { stdout, stderr } = await run(['btrfs', 'qgroup', 'show', '-e', '-f', '--raw', path])
  if (saysInconsistent(stderr)) await beginToCount(path)
  return parseQuota(stdout)
}

async function beginToCount(path: string): Promise<void> {
  try {
    await btrfs('quota', 'rescan', path)
  } catch (error) {
    // It does already.
    if (!(error instanceof CommandError) || !/in progress/i.test(error.stderr)) throw error
  }
}

async function btrfs(...args: string[]): Promise<string> {
  return (await run(['btrfs', ...args])).stdout
}
