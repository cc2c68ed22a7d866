import { setTimeout as sleep } from 'node:timers/promises'
import { ProvisionError } from '../../errors.ts'
import { CommandError, run } from '../../exec.ts'
import { programsIn } from './programs-in.ts'

/** How long a file system may be busy before we say so: what a killed server had begun comes to its end, which takes its disk's time. */
const BUSY_MS = 15_000

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

/** @throws ProvisionError IN_USE, naming them, when programs keep a file of it open, or work in one of its directories, and go on doing so */
export async function unmount(mountPoint: string): Promise<void> {
  const deadline = Date.now() + BUSY_MS
  for (let waitMs = 50; ; waitMs = Math.min(waitMs * 2, 1000)) {
    const busy = await tryToUnmount(mountPoint)
    if (busy === undefined) return
    if (Date.now() + waitMs > deadline) throw await inUse(mountPoint, busy)
    await sleep(waitMs)
  }
}

/** @returns why not, where it is in use */
async function tryToUnmount(mountPoint: string): Promise<CommandError | undefined> {
  try {
    await run(['umount', mountPoint])
    return undefined
  } catch (error) {
    if (error instanceof CommandError && /target is busy/.test(error.stderr)) return error
    throw error
  }
}

async function inUse(mountPoint: string, cause: CommandError): Promise<ProvisionError> {
  const users = (await programsIn(mountPoint)).map(({ pid, command }) => `${command} (process ${pid})`)
  const who = users.length === 0 ? '' : `: ${users.join(', ')}`
  return new ProvisionError('IN_USE', `${mountPoint} can't be unmounted: programs have files open there${who}`, {
    cause,
    hint: `End them first, or leave the directories below it; \`fuser -vm ${mountPoint}\` names them too.`,
  })
}
