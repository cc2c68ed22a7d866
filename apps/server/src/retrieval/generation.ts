import { failPoint } from '@dblab/provision'
import { randomId, timedId } from '../ids.ts'
import { snapshotLabels } from '../labels.ts'
import { type GenerationOptions, type MadeBase, makeBase } from './make-base.ts'
import type { CheckedCluster, CheckedSource, Reporter } from './source.ts'

/**
 * Brings a source's data into a new base beside the ones before, and publishes its first snapshot. Whole or not at all: clones of older
 * generations never notice, and after a failure the newest is what it was.
 *
 * @param onPublished is told of the snapshot in the transaction that publishes it, and of none of an older state
 * @returns the snapshot's id
 */
export async function makeGeneration(
  options: GenerationOptions,
  source: CheckedSource,
  reporter: Reporter,
  onPublished: (snapshotId: string) => void = () => undefined,
): Promise<string> {
  const { catalogue } = options
  for (const older of missingBefore(options, source)) await makeGeneration(options, older, reporter)
  await options.requireBytes(source.neededBytes)
  const volumeId = randomId()
  try {
    const base = await makeBase(options, volumeId, source, reporter)
    reporter.progress({ step: 'PUBLISH' })
    return await publish(options, volumeId, base, source, onPublished)
  } catch (error) {
    // What is left of them is removed by the next collection; the volume itself is gone already where that was possible.
    catalogue.evenIfFull(() => {
      for (const snapshot of catalogue.snapshots.list()) {
        if (snapshot.volumeId === volumeId) catalogue.snapshots.setState(snapshot.id, 'retired')
      }
      catalogue.volumes.setState(volumeId, 'retired')
    })
    throw error
  }
}

/** By what their snapshots say of where they are from, and of how they were masked: a state that is named there does not change. */
function missingBefore({ catalogue, masking }: GenerationOptions, source: CheckedSource): readonly CheckedCluster[] {
  const maskVersion = masking?.maskVersion ?? ''
  const own = catalogue.snapshots
    .listPublished()
    .filter((snapshot) => snapshot.cloneId === '' && snapshot.maskVersion === maskVersion)
  const there = new Set(own.map(({ message }) => message))
  return (source.brings === 'cluster' && source.before?.filter(({ message }) => !there.has(message))) || []
}

async function publish(
  { catalogue, provisioner, log }: GenerationOptions,
  volumeId: string,
  { facts, database, superuser, maskVersion, hasPlanSettings, dataStateAt }: MadeBase,
  { sample, message }: CheckedSource,
  onPublished: (snapshotId: string) => void,
): Promise<string> {
  const id = timedId(new Date())
  const { databases, postgresVersion } = facts
  const data = {
    databases,
    postgresVersion,
    database,
    superuser,
    sample,
    timestamp: dataStateAt.toISOString(),
    maskVersion,
    hasPlanSettings,
  }
  const own = { published: true, size: 0, cloneId: '', tokenId: null, protected: false }
  const record = { ...data, ...own, id, volumeId, message, createdAt: new Date().toISOString() }
  catalogue.snapshots.add(record)
  await failPoint('import.snapshot-noted')
  const { sizeBytes } = await provisioner.snapshotStopped(volumeId, id, snapshotLabels('base', record))
  await failPoint('import.snapshot-taken')
  catalogue.transaction(() => {
    catalogue.snapshots.setLive(id, { database, databases, size: sizeBytes })
    catalogue.volumes.setFilled(volumeId, data)
    onPublished(id)
  })
  await failPoint('import.published')
  log.info('snapshot is ready', { snapshot: id, database, bytes: sizeBytes })
  return id
}
