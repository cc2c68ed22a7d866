import { dirname } from 'node:path'
import { failPoint, type PortPool, type Provisioner } from '@dblab/provision'
import type { Catalogue } from '../catalogue/catalogue.ts'
import { randomId, timedId } from '../ids.ts'
import { snapshotLabels } from '../labels.ts'
import type { Logger } from '../log.ts'
import type { CheckedSource, Reporter } from './source.ts'

export interface GenerationOptions {
  catalogue: Catalogue
  provisioner: Provisioner
  ports: PortPool
  log: Logger
  /** LabError NOT_ENOUGH_DISK_SPACE where the pool has no room for this much more. */
  requireBytes(bytes: number): Promise<void>
  /** The server that bases run on is npm's, which the system's packages don't extend. */
  embedded: boolean
}

/**
 * Brings a source's data into a new base beside the ones before, and publishes its first snapshot. Whole or not at all: clones of older
 * generations never notice, and after a failure the newest is what it was.
 *
 * @returns the snapshot's id
 */
export async function makeGeneration(
  { catalogue, provisioner, ports, log, requireBytes, embedded }: GenerationOptions,
  source: CheckedSource,
  reporter: Reporter,
): Promise<string> {
  await requireBytes(source.neededBytes)
  const volumeId = randomId()
  const port = await ports.lend({ owner: volumeId })
  try {
    catalogue.volumes.add(volumeId, 'base')
    await failPoint('import.volume-noted')
    let dataStateAt = new Date()
    const { databases, loginRoles, message, sample } = source
    const facts = await provisioner.createBase(
      { volumeId, databases, port, loginRoles, labels: { role: 'base', state: 'pending' } },
      async (instance) => {
        dataStateAt = await source.fill({ instance, volumePath: dirname(instance.dataDir), embedded }, reporter)
        reporter.progress({ step: 'FINISH' })
      },
      reporter.signal,
    )
    reporter.progress({ step: 'PUBLISH' })
    const id = timedId(new Date())
    const data = { ...facts, database: databases[0], sample, timestamp: dataStateAt.toISOString(), maskVersion: '' }
    const record = {
      ...data,
      id,
      volumeId,
      message,
      published: true,
      createdAt: new Date().toISOString(),
      size: 0,
      cloneId: '',
      tokenId: null,
      protected: false,
    }
    catalogue.snapshots.add(record)
    await failPoint('import.snapshot-noted')
    const { sizeBytes } = await provisioner.snapshotStopped(volumeId, id, snapshotLabels('base', record))
    await failPoint('import.snapshot-taken')
    catalogue.transaction(() => {
      catalogue.snapshots.setLive(id, { database: data.database, databases: facts.databases, size: sizeBytes })
      catalogue.volumes.setFilled(volumeId, data)
    })
    await failPoint('import.published')
    log.info('snapshot is ready', { snapshot: id, database: data.database, bytes: sizeBytes })
    return id
  } catch (error) {
    // What is left of them is removed by the next collection; the volume itself is gone already where that was possible.
    catalogue.evenIfFull(() => {
      for (const snapshot of catalogue.snapshots.list()) {
        if (snapshot.volumeId === volumeId) catalogue.snapshots.setState(snapshot.id, 'retired')
      }
      catalogue.volumes.setState(volumeId, 'retired')
    })
    throw error
  } finally {
    ports.release(port, volumeId)
  }
}
