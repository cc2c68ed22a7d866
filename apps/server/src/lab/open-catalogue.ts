import { rm } from 'node:fs/promises'
import { failPoint } from '@dblab/provision'
import { Catalogue } from '../catalogue/catalogue.ts'
import { CatalogueLostError } from '../catalogue/database.ts'
import { type Identity, writeIdentity } from './identity.ts'
import { places } from './places.ts'

export interface OpenedCatalogue {
  catalogue: Catalogue
  /** Why the lab's own can't be trusted; then `catalogue` is an empty one in memory, and nothing may be concluded from it. */
  lost: string | undefined
}

/** Opens a lab's catalogue, or makes that of a new lab. */
export async function openCatalogue(dataDir: string, identity: Identity): Promise<OpenedCatalogue> {
  const file = places.catalogue(dataDir)
  const { labId, complete, epoch } = identity
  try {
    const catalogue = complete ? Catalogue.open(file, labId, epoch) : await openNew(file, labId)
    if (!complete) await failPoint('start.catalogue-made')
    const counted = catalogue.nextEpoch()
    await failPoint('start.start-counted')
    await writeIdentity(dataDir, { ...identity, complete: true, epoch: counted })
    return { catalogue, lost: undefined }
  } catch (error) {
    if (!(error instanceof CatalogueLostError)) throw error
    return { catalogue: Catalogue.empty(labId), lost: error.message }
  }
}

/** A first start may have been cut off while it made the catalogue, or after. */
async function openNew(file: string, labId: string): Promise<Catalogue> {
  try {
    return Catalogue.open(file, labId, 0)
  } catch (error) {
    if (!(error instanceof CatalogueLostError && error.empty)) throw error
    for (const part of ['', '-wal', '-shm', '-seal']) await rm(`${file}${part}`, { force: true })
    return Catalogue.create(file, labId)
  }
}
