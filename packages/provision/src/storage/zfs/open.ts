import { ProvisionError } from '../../errors.ts'
import type { StorageConfig, StoragePool } from '../config.ts'
import { reporting } from '../report.ts'
import { makeDataset, removeDataset, requireDataset, type ZfsConfig } from './dataset.ts'
import { explainZfs } from './errors.ts'
import { ZfsDriver } from './zfs.ts'

export async function openZfs({
  labId,
  dataset,
  root,
  owner,
  commandTimeoutMs,
  settled,
  mayBeGone,
}: StorageConfig): Promise<StoragePool> {
  if (dataset === undefined) {
    throw new ProvisionError('UNAVAILABLE', 'no ZFS dataset is configured', {
      hint: 'Configure one in a ZFS pool of this machine (dataset: tank/dblab).',
    })
  }
  const config: ZfsConfig = { labId, dataset, root, owner, commandTimeoutMs }
  const driver = new ZfsDriver(config)
  await driver.check()
  if (settled !== undefined && !mayBeGone) await requireDataset(config)
  else await reporting(`making the dataset ${dataset}`, () => makeDataset(config), explainZfs)
  await driver.open()
  return {
    driver,
    embedded: false,
    // The pool is the host's: its datasets stay mounted, as ZFS itself would have them after a reboot.
    detach: async () => {},
    remove: () => reporting(`removing the dataset ${dataset}`, () => removeDataset(config), explainZfs),
  }
}
