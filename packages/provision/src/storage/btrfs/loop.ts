import { setTimeout as sleep } from 'node:timers/promises'
import { ProvisionError } from '../../errors.ts'
import { CommandError, run } from '../../exec.ts'

/** How long a file system may be busy before we say so: a Postgres that was told to stop needs a moment to close its files. */
const BUSY_MS = [50, 100, 200, 400, 800, 1600]

/** The loop devices that show this file (losetup(8)), by the file itself rather than its name. */
export async function loopDevicesOf(file: string): Promise<string[]> {
  const { stdout } = await run(['losetup', '--associated', file, '--noheadings', '--output', 'NAME', '--list'])
  return stdout
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '')
}

/** Attaches the file to a free loop device and returns that. Past the page cache where the host's file system can: data is cached once. */
export async function attachLoop(file: string): Promise<string> {
  try {
    return await losetup(file, '--direct-io=on')
  } catch (error) {
    if (!(error instanceof CommandError) || !/direct.?io/i.test(error.stderr)) throw error
    for (const device of await loopDevicesOf(file)) await detachLoop(device)
    return losetup(file)
  }
}

async function losetup(file: string, ...options: string[]): Promise<string> {
  return (await run(['losetup', '--find', '--show', ...options, file])).stdout.trim()
}

export async function detachLoop(device: string): Promise<void> {
  await run(['losetup', '--detach', device])
}

export async function mountBtrfs(device: string, mountPoint: string): Promise<void> {
  await run(['mount', '-t', 'btrfs', '-o', 'noatime,user_subvol_rm_allowed', device, mountPoint])
}

/** @throws ProvisionError IN_USE when something keeps a file of it open, or works in one of its directories */
export async function unmount(mountPoint: string, waits: readonly number[] = BUSY_MS): Promise<void> {
  try {
    await run(['umount', mountPoint])
  } catch (error) {
    if (!(error instanceof CommandError) || !/target is busy/.test(error.stderr)) throw error
    const [wait, ...rest] = waits
    if (wait === undefined) {
      throw new ProvisionError('IN_USE', `${mountPoint} can't be unmounted: programs have files open there`, {
        cause: error,
        hint: `Stop them first; \`fuser -vm ${mountPoint}\` names them.`,
      })
    }
    await sleep(wait)
    await unmount(mountPoint, rest)
  }
}
