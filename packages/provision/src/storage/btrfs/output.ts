import { ProvisionError } from '../../errors.ts'

/** The sum of the second column of `btrfs filesystem du -s --raw` (btrfs-filesystem(8)) over one path: what nothing else holds. */
export function parseDu(stdout: string): number {
  const [, exclusive] = (stdout.trim().split('\n').at(-1) ?? '').trim().split(/\s+/).map(Number)
  if (exclusive !== undefined && Number.isSafeInteger(exclusive)) return exclusive
  throw new ProvisionError('FAILED', 'the output of `btrfs filesystem du` has an unknown form')
}

/** `btrfs qgroup show -e -f --raw` of one volume (btrfs-qgroup(8)): its fourth column, `none` where nothing bounds it. */
export function parseQuota(stdout: string): number | undefined {
  const [line, ...others] = stdout.split('\n').filter((text) => /^\d+\/\d+\s/.test(text))
  const bound = line?.trim().split(/\s+/)[3]
  if (bound === undefined || others.length > 0 || !/^(none|\d+)$/.test(bound)) {
    throw new ProvisionError('FAILED', 'the output of `btrfs qgroup show` has an unknown form')
  }
  return bound === 'none' ? undefined : Number(bound)
}

/** Of `btrfs subvolume show` (btrfs-subvolume(8)): `Creation time:  2026-11-26 18:07:02 +0000`. */
export function parseCreationTime(stdout: string): Date {
  const [, day, time, zone] = /^\s*Creation time:\s+(\S+) (\S+) ([+-]\d{4})$/m.exec(stdout) ?? []
  const found = new Date(`${day}T${time}${zone}`)
  if (!Number.isNaN(found.getTime())) return found
  throw new ProvisionError('FAILED', 'the output of `btrfs subvolume show` has an unknown form')
}

/** The counters above 0 of `btrfs device stats` (btrfs-device(8)), in its own words: `[/dev/sdb].corruption_errs 3`. */
export function parseDeviceErrors(stdout: string): string[] {
  return stdout
    .trim()
    .split('\n')
    .map((line) => line.trim().split(/\s+/))
    .filter(([counter, count]) => counter !== '' && Number(count) !== 0)
    .map(([counter, count]) => `${counter} ${count}`)
}

/** The counters above 0 of `error_stats` in sysfs; undefined where the kernel calls them invalid, as it does those it could not read. */
export function parseErrorStats(text: string): string[] | undefined {
  const lines = text.trim().split('\n')
  if (!lines.every((line) => /^\w+ \d+$/.test(line))) return undefined
  return lines.filter((line) => !line.endsWith(' 0'))
}
