import { failPoint, type Instance, type PortPool, type Provisioner } from '@dblab/provision'
import type { Catalogue } from '../catalogue/catalogue.ts'
import { randomId, timedId } from '../ids.ts'
import { snapshotLabels } from '../labels.ts'
import type { Logger } from '../log.ts'

/** Where data comes from. */
export interface Source {
  /** The main database that it fills. */
  database: string
  /** True for the sample, which gives way to any other data. */
  sample: boolean
  /** Says where the data is from, on its snapshot. */
  message: string
  /** Roles that may come over TCP, from this host, while it is filled. */
  loginRoles: string[]
  /** Fills a new, running, empty cluster; answers with the time at which the data was true. */
  fill(instance: Instance, signal: AbortSignal | undefined): Promise<Date>
}

export interface GenerationOptions {
  catalogue: Catalogue
  provisioner: Provisioner
  ports: PortPool
  log: Logger
}

/**
 * Brings a source's data into a new base beside the ones before, and publishes its first snapshot. Whole or not at all: clones of older
 * generations never notice, and after a failure the newest is what it was.
 *
 * @returns the snapshot's id
 */
export async function makeGeneration(
  { catalogue, provisioner, ports, log }: GenerationOptions,
  source: Source,
  signal?: AbortSignal,
): Promise<string> {
  const volumeId = randomId()
  const port = await ports.lend({ owner: volumeId })
  catalogue.volumes.add(volumeId, 'base')
  try {
    await failPoint('import.volume-noted')
    let dataStateAt = new Date()
    const { database, loginRoles, message, sample } = source
    const facts = await provisioner.createBase(
      { volumeId, database, port, loginRoles, labels: { role: 'base', state: 'pending' } },
      async (instance) => {
        dataStateAt = await source.fill(instance, signal)
      },
      signal,
    )
    const id = timedId(new Date())
    const record = {
      ...facts,
      id,
      volumeId,
      database,
      message,
      sample,
      published: true,
      timestamp: dataStateAt.toISOString(),
      createdAt: new Date().toISOString(),
      size: 0,
      cloneId: '',
      tokenId: null,
    }
    catalogue.snapshots.add(record)
    await failPoint('import.snapshot-noted')
    const { sizeBytes } = await provisioner.snapshotStopped(volumeId, id, snapshotLabels('base', record))
    await failPoint('import.snapshot-taken')
    catalogue.transaction(() => {
      catalogue.snapshots.setLive(id, { database, databases: facts.databases, size: sizeBytes })
      catalogue.volumes.setFilled(volumeId, { ...facts, database, sample, timestamp: dataStateAt.toISOString() })
    })
    await failPoint('import.published')
    log.info('snapshot is ready', { snapshot: id, database, bytes: sizeBytes })
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
