import type { Config } from '../config/schema.ts'
import type { Unenforced } from '../status/standing-warnings.ts'
import type { Foundations } from './foundations.ts'

/** The limits of the configuration that this machine can't keep: nobody should take them for kept. */
export function unenforcedLimits({ clones }: Config, { storage, bounds }: Foundations): Unenforced[] {
  const unenforced: Unenforced[] = bounds.problem ? [bounds.problem] : []
  const { driver } = storage
  if (clones.diskQuota !== undefined && !driver.capabilities.quota) {
    unenforced.push({
      message: `clones.diskQuota is not enforced: the storage driver ${driver.name} can't bound what a clone writes here`,
      hint: 'Use zfs, or btrfs in a pool that the lab makes itself or that has quotas on (btrfs quota enable); or leave clones.diskQuota out',
    })
  }
  return unenforced
}
