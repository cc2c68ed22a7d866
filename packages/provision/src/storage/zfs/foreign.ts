import { ProvisionError } from '../../errors.ts'
import type { ForeignTree } from '../driver.ts'
import { notFound } from '../report.ts'
import { lookUp, zfs } from './commands.ts'
import { LABEL_PROPERTIES, parseLabel } from './label.ts'
import { parseSnapshots } from './output.ts'

/** zfsconcepts(7): a dataset, and a snapshot of it, here without blanks; no part can be taken for an option. */
const NAME = /^([A-Za-z][\w.:-]*)(\/[A-Za-z0-9][\w.:-]*)*(@[A-Za-z0-9][\w.:-]*)?$/

/** One for `zfs list` of the snapshots of a dataset, or of one snapshot. */
export function snapshotListing(name: string): string[] {
  return ['list', '-Hp', '-o', 'name,creation', '-s', 'creation', '-t', 'snapshot', '-d', '1', name]
}

/** Snapshots that others have made: this one, or those of this dataset. */
export async function listForeignSnapshots(name: string, dataset: string): Promise<ForeignTree[]> {
  await checkForeign(name, dataset)
  return parseSnapshots(await zfs(...snapshotListing(name)))
}

/**
 * That it is there, in the pool of the lab's dataset, and none of a lab's.
 *
 * @throws ProvisionError INVALID, NOT_FOUND
 */
export async function checkForeign(name: string, dataset: string): Promise<void> {
  checkForeignName(name, dataset)
  const properties = await lookUp(name, LABEL_PROPERTIES)
  if (!properties) throw notFound(name.includes('@') ? 'snapshot' : 'dataset', name)
  const label = parseLabel(properties)
  if (label && label.kind !== 'pool') throw ofLab(name)
}

/** Below the lab's dataset lies what is its own, and what looks like it. @throws ProvisionError INVALID */
export function checkForeignName(name: string, dataset: string): void {
  const [, pool] = NAME.exec(name) ?? []
  if (pool === undefined) throw new ProvisionError('INVALID', 'this is the name of no dataset, and of no snapshot')
  if (name.startsWith(`${dataset}/`)) throw ofLab(name)
  if (pool === dataset.split('/')[0]) return
  throw new ProvisionError('INVALID', `${name} lies in another pool than ${dataset}, where the lab keeps its data`, {
    hint: 'Send it there (zfs send, zfs receive), or have it copied.',
  })
}

function ofLab(name: string): ProvisionError {
  return new ProvisionError('INVALID', `${name} is a lab's own, or lies among what is`, {
    hint: 'Name a snapshot of a dataset that does not lie below the dataset of the lab; zfs rename moves it.',
  })
}
