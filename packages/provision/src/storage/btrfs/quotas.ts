import { CommandError, run } from '../../exec.ts'
import { parseQuota } from './output.ts'

/**
 * Quota groups of btrfs (btrfs-qgroup(8)). Simple ones charge each block to the volume that wrote it first, and cost next to nothing; they take
 * Linux and btrfs-progs of 6.7 or newer. Full ones follow every reference to a block: see docs/decisions/limits.md for what both cost.
 */
export async function switchQuotas(directory: string, on: boolean): Promise<void> {
  if ((await quotasAreOn(directory)) === on) return
  if (!on) {
    await btrfs('quota', 'disable', directory)
    return
  }
  try {
    await btrfs('quota', 'enable', '--simple', directory)
  } catch (error) {
    // Programs that don't know the option, and kernels that don't know the ioctl's word.
    if (!(error instanceof CommandError) || !/usage:|option|Invalid argument/i.test(error.stderr)) throw error
    await btrfs('quota', 'enable', directory)
  }
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

/** The bound of this volume's own bytes; undefined when it has none. */
export async function quotaOf(path: string): Promise<number | undefined> {
  return parseQuota(await btrfs('qgroup', 'show', '-e', '-f', '--raw', path))
}

async function btrfs(...args: string[]): Promise<string> {
  return (await run(['btrfs', ...args])).stdout
}
