import { setTimeout as sleep } from 'node:timers/promises'
import { CommandError, run } from '../../exec.ts'
import { isBusy } from './errors.ts'

/** 3 s in all: a Postgres that was told to stop may need one to close its files. */
const BUSY_MS = [50, 100, 200, 400, 750, 1500]

export async function zfs(...args: string[]): Promise<string> {
  return (await run(['zfs', ...args])).stdout
}

export async function zpool(...args: string[]): Promise<string> {
  return (await run(['zpool', ...args])).stdout
}

/** Tries again for a while when zfs says that the dataset is busy. */
export async function zfsWhenFree(args: readonly string[], waits: readonly number[] = BUSY_MS): Promise<string> {
  try {
    return await zfs(...args)
  } catch (error) {
    const [wait, ...rest] = waits
    if (!(error instanceof CommandError) || !isBusy(error) || wait === undefined) throw error
    await sleep(wait)
    return zfsWhenFree(args, rest)
  }
}
