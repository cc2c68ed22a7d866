import { readdir, readFile, realpath } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { isSystemError } from '../../errors.ts'
import { CommandError, run } from '../../exec.ts'
import { exists } from '../../files.ts'
import type { PoolUsage } from '../driver.ts'
import { mountHolding } from './mounts.ts'
import { parseDeviceErrors, parseErrorStats } from './output.ts'

type Health = Pick<PoolUsage, 'health' | 'healthDetail'>

/** A directory for each file system that is mounted, by its UUID (Documentation/ABI/testing/sysfs-fs-btrfs of the kernel). */
const SYSFS = '/sys/fs/btrfs'

/**
 * What the kernel has counted of the errors of the devices below a directory. It is read from sysfs, for anybody: a program asked for it now and then
 * would hold up all requests while it is made. Where sysfs has no such counters (before Linux 5.14, or where it is not mounted), it is
 * `btrfs device stats` that tells, for root only.
 */
export async function deviceHealth(directory: string): Promise<Health> {
  const errors = await countedErrors(directory)
  if (errors) return healthOf(errors)
  try {
    return healthOf(parseDeviceErrors((await run(['btrfs', 'device', 'stats', directory])).stdout))
  } catch (error) {
    // Its ioctl is root's alone.
    if (!(error instanceof CommandError) || !/Operation not permitted/.test(error.stderr)) throw error
    return { health: 'OK', healthDetail: "the devices' error counters are readable for root only" }
  }
}

function healthOf(errors: readonly string[]): Health {
  return { health: errors.length > 0 ? 'DEGRADED' : 'OK', healthDetail: errors.join(', ') }
}

/** Of all devices of the file system; undefined where sysfs does not tell. */
async function countedErrors(directory: string): Promise<string[] | undefined> {
  const at = await sysfsOf(directory)
  if (at === undefined) return undefined
  const devices = await orAbsent(readdir(join(at, 'devinfo')))
  if (devices === undefined) return undefined
  const errors: string[] = []
  for (const device of devices) {
    const stats = await orAbsent(readFile(join(at, 'devinfo', device, 'error_stats'), 'utf8'))
    const counted = stats === undefined ? undefined : parseErrorStats(stats)
    if (counted === undefined) return undefined
    errors.push(...counted.map((counter) => `device ${device}: ${counter}`))
  }
  return errors
}

/** By the device that is mounted there: the number that stat(2) gives is that of a subvolume. */
async function sysfsOf(directory: string): Promise<string | undefined> {
  const mount = await mountHolding(await realpath(directory))
  const device = mount && (await orAbsent(realpath(mount.source)))
  if (device === undefined) return undefined
  for (const uuid of (await orAbsent(readdir(SYSFS))) ?? []) {
    const at = join(SYSFS, uuid)
    if (await exists(join(at, 'devices', basename(device)))) return at
  }
  return undefined
}

/** A container may see neither the device nor all of sysfs. */
async function orAbsent<T>(reading: Promise<T>): Promise<T | undefined> {
  try {
    return await reading
  } catch (error) {
    if (isSystemError(error, 'ENOENT', 'EACCES')) return undefined
    throw error
  }
}
