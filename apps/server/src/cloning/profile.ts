import type { CloneProfile } from '@dblab/models'
import type { SnapshotRecord } from '../catalogue/snapshots.ts'
import { LabError } from '../errors.ts'

/** The data to be cloned, as far as a profile depends on it. */
type Data = Pick<SnapshotRecord, 'hasPlanSettings'>

/** A clone can't be like a source whose settings nobody knows. */
export function suits(profile: CloneProfile, { hasPlanSettings }: Data): boolean {
  return profile !== 'like-source' || hasPlanSettings
}

/** Of clones that ask for none: where the lab's own does not suit the data, `dev`, which asks for nothing of it. */
export function defaultProfileFor(usual: CloneProfile, snapshot: Data): CloneProfile {
  return suits(usual, snapshot) ? usual : 'dev'
}

/** @throws LabError SOURCE_SETTINGS_UNKNOWN */
export function requireSuits(profile: CloneProfile, snapshot: Data): void {
  if (suits(profile, snapshot)) return
  throw new LabError(
    'SOURCE_SETTINGS_UNKNOWN',
    'the settings of its source are not known: it is the sample, came from a dump or as files that do not say them, or is from before the lab kept them',
  )
}
