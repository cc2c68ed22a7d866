import { findBinaries } from '@dblab/provision'

const { usable } = await findBinaries()

/** The two that users have: Debian's 15, and the one that comes from npm. */
export const MAJORS = [
  { version: 15, source: 'system' },
  { version: 18, source: 'embedded' },
] as const

export type Major = (typeof MAJORS)[number]

/** Undefined where this machine does not have it. */
export function binDirOf({ version, source }: Major): string | undefined {
  return usable.find((binaries) => binaries.major === version && binaries.source === source)?.binDir
}
