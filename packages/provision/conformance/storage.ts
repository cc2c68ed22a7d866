import { describe } from 'vitest'
import type { OpenHarness } from './harness.ts'
import { clonesAreCopiesOfTheirOwn } from './storage-clones.ts'
import { failuresLeaveNothing } from './storage-failures.ts'
import { filesStayAsTheyAre } from './storage-files.ts'
import { foreignThingsStay } from './storage-foreign.ts'
import { foreignTreesAreCloned } from './storage-foreign-trees.ts'
import { namesAndLabels } from './storage-names.ts'
import { quotasBoundOneVolume } from './storage-quota.ts'
import { whatIsDestroyedGivesItsRoomBack } from './storage-room.ts'

export type { ForeignSource, ForeignThing, OpenHarness, StorageHarness } from './harness.ts'

/**
 * What every storage driver promises. Each test opens a world of its own.
 *
 * @param open makes an empty pool and opens it
 */
export function storageConformance(name: string, open: OpenHarness): void {
  describe(`storage driver ${name}`, () => {
    clonesAreCopiesOfTheirOwn(open)
    namesAndLabels(open)
    filesStayAsTheyAre(open)
    foreignThingsStay(open)
    foreignTreesAreCloned(open)
    failuresLeaveNothing(open)
    quotasBoundOneVolume(open)
    whatIsDestroyedGivesItsRoomBack(open)
  })
}
