import { failPoint, type Provisioner } from '@dblab/provision'
import type { CheckedSource, Reporter } from './source.ts'

type Settings = Readonly<Record<string, string>>

/**
 * Keeps with a base what is known of its source's settings, before there is a snapshot of it.
 *
 * @returns whether clones of it can be like the source
 */
export async function keepPlanSettings(
  provisioner: Provisioner,
  volumeId: string,
  settings: Settings | undefined,
  reporter: Reporter,
): Promise<boolean> {
  if (settings === undefined) {
    reporter.info('what the source was set to is not known: clones of this data can not have the profile like-source')
    return false
  }
  const leftOut = await provisioner.keepPlanSettings(volumeId, settings)
  await failPoint('retrieval.settings-kept')
  if (leftOut.length > 0) {
    reporter.warn(
      `settings of the source that clones like it go without, since their server does not take them: ${leftOut.join(', ')}`,
    )
  }
  return true
}

/** https://www.postgresql.org/docs/current/runtime-config-query.html#GUC-DEFAULT-STATISTICS-TARGET */
const LARGEST_TARGET = 10_000

/** What statistics are to be taken with, so that they are as fine as the source's. */
export function statisticsSettings({ planSettings }: CheckedSource): Settings | undefined {
  const target = planSettings?.default_statistics_target ?? ''
  const isSound = /^\d{1,5}$/.test(target) && Number(target) > 0 && Number(target) <= LARGEST_TARGET
  return isSound ? { default_statistics_target: target } : undefined
}
