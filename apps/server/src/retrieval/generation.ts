import { dirname } from 'node:path'
import {
  type AdoptedFacts,
  type AdoptSteps,
  type ClusterFacts,
  failPoint,
  type Instance,
  type PortPool,
  ProvisionError,
  type Provisioner,
} from '@dblab/provision'
import type { Catalogue } from '../catalogue/catalogue.ts'
import { randomId, timedId } from '../ids.ts'
import { snapshotLabels } from '../labels.ts'
import type { Logger } from '../log.ts'
import { eventTriggers, quarantine } from './import-finish.ts'
import type { CheckedCluster, CheckedRows, CheckedSource, CheckedStandby, Reporter } from './source.ts'

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

type Adopted = CheckedCluster | CheckedStandby

/** A base that is whole, and shut down cleanly. */
interface MadeBase {
  facts: ClusterFacts
  /** The main one. */
  database: string
  /** Its bootstrap superuser, where it is not the lab's own role. */
  superuser: string
  dataStateAt: Date
}

/**
 * Brings a source's data into a new base beside the ones before, and publishes its first snapshot. Whole or not at all: clones of older
 * generations never notice, and after a failure the newest is what it was.
 *
 * @returns the snapshot's id
 */
export async function makeGeneration(
  options: GenerationOptions,
  source: CheckedSource,
  reporter: Reporter,
): Promise<string> {
  const { catalogue } = options
  await options.requireBytes(source.neededBytes)
  const volumeId = randomId()
  try {
    const base = await makeBase(options, volumeId, source, reporter)
    reporter.progress({ step: 'PUBLISH' })
    return await publish(options, volumeId, base, source)
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

async function makeBase(
  options: GenerationOptions,
  volumeId: string,
  source: CheckedSource,
  reporter: Reporter,
): Promise<MadeBase> {
  const { volumes } = options.catalogue
  if (source.brings === 'standby') {
    const { ref, caughtUpAt } = await source.snapshot(reporter)
    try {
      volumes.add(volumeId, 'base', ref.snapshotId)
      await failPoint('import.volume-noted')
      const steps = adoptionSteps(reporter)
      const facts = await options.provisioner.adoptSnapshot(ref, { volumeId, labels: LABELS }, steps)
      return adoptedBase(facts, source, reporter, caughtUpAt)
    } finally {
      source.release(ref)
    }
  }
  volumes.add(volumeId, 'base')
  await failPoint('import.volume-noted')
  return source.brings === 'rows'
    ? fillBase(options, volumeId, source, reporter)
    : adoptBase(options, volumeId, source, reporter)
}

const LABELS = { role: 'base', state: 'pending' }

async function fillBase(
  { provisioner, ports, embedded }: GenerationOptions,
  volumeId: string,
  { databases, loginRoles, fill }: CheckedRows,
  reporter: Reporter,
): Promise<MadeBase> {
  const port = await ports.lend({ owner: volumeId })
  try {
    let dataStateAt = new Date()
    const facts = await provisioner.createBase(
      { volumeId, databases, port, loginRoles, labels: LABELS },
      async (instance) => {
        dataStateAt = await fill({ instance, volumePath: dirname(instance.dataDir), embedded }, reporter)
        reporter.progress({ step: 'FINISH' })
      },
      reporter.signal,
    )
    return { facts, database: databases[0], superuser: '', dataStateAt }
  } finally {
    ports.release(port, volumeId)
  }
}

async function adoptBase(
  { provisioner }: GenerationOptions,
  volumeId: string,
  source: CheckedCluster,
  reporter: Reporter,
): Promise<MadeBase> {
  const facts = await provisioner.adoptBase(
    { volumeId, labels: LABELS, ...(source.recovery && { recovery: source.recovery }) },
    {
      ...adoptionSteps(reporter),
      bring: async (places) => {
        reporter.progress({ step: 'COPY' })
        await source.copy(places, reporter)
        reporter.progress({ step: 'RECOVER' })
      },
    },
  )
  return adoptedBase(facts, source, reporter)
}

/** What is done with a cluster that comes from elsewhere once it is in the lab. */
function adoptionSteps(reporter: Reporter): Omit<AdoptSteps, 'bring'> {
  return {
    prepare: async (instance, databases) => {
      reporter.progress({ step: 'FINISH' })
      for (const database of databases) await disconnect(instance, database, reporter)
    },
    onProgress: () => reporter.progress({ step: 'RECOVER' }),
    signal: reporter.signal,
  }
}

/** @param caughtUpAt when it was last known to have all that its source had */
function adoptedBase(facts: AdoptedFacts, source: Adopted, reporter: Reporter, caughtUpAt?: Date): MadeBase {
  tellAdopted(facts, source, reporter)
  const database = source.database ?? facts.databases.find((name) => name !== 'postgres') ?? 'postgres'
  if (!facts.databases.includes(database)) {
    throw new ProvisionError('INVALID', `the data has no database ${JSON.stringify(database)}`, {
      hint: `Name one of those that it has as the main one: ${facts.databases.join(', ')}.`,
    })
  }
  const { at } = facts.recovery
  const dataStateAt = caughtUpAt !== undefined && caughtUpAt > at ? caughtUpAt : at
  return { facts, database, superuser: facts.superuser, dataStateAt }
}

/** What would make a clone reach for another server goes, and what fires by itself is told. */
async function disconnect(instance: Instance, database: string, reporter: Reporter): Promise<void> {
  const where = JSON.stringify(database)
  for (const what of await quarantine(instance, database)) reporter.warn(`${where}: removed: ${what}`)
  const silenced = await eventTriggers(instance, database)
  if (silenced.length > 0) reporter.warn(`${where}: event triggers switched off: ${silenced.join(', ')}`)
}

function tellAdopted(
  { recovery, removed, rolledBack, collations }: AdoptedFacts,
  { anyLocale }: Adopted,
  reporter: Reporter,
): void {
  reporter.info(`recovered to log ${recovery.lsn} on timeline ${recovery.timeline}, as of ${recovery.at.toISOString()}`)
  if (removed.length > 0) reporter.info(`left out: ${removed.join(', ')}`)
  for (const { database, gid } of rolledBack) {
    reporter.warn(`${JSON.stringify(database)}: rolled back the prepared transaction ${JSON.stringify(gid)}`)
  }
  if (collations.length === 0) return
  const list = collations.map(
    ({ database, collation, recorded, actual }) =>
      `${collation ?? 'the default'} of ${JSON.stringify(database)} (version ${recorded}, here ${actual ?? 'there is none'})`,
  )
  const message = `the data was sorted by other versions of locales than this machine has: ${list.join(', ')}`
  if (anyLocale) {
    reporter.warn(message)
    return
  }
  throw new ProvisionError('INVALID', message, {
    hint: 'Indexes on text could miss rows. Run the lab on the system that the source runs on, bring the data in as logical, or take it as it is with anyLocale: true.',
  })
}

async function publish(
  { catalogue, provisioner, log }: GenerationOptions,
  volumeId: string,
  { facts, database, superuser, dataStateAt }: MadeBase,
  { sample, message }: CheckedSource,
): Promise<string> {
  const id = timedId(new Date())
  const { databases, postgresVersion } = facts
  const mask = { maskVersion: '' }
  const data = {
    databases,
    postgresVersion,
    database,
    superuser,
    sample,
    timestamp: dataStateAt.toISOString(),
    ...mask,
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
  })
  await failPoint('import.published')
  log.info('snapshot is ready', { snapshot: id, database, bytes: sizeBytes })
  return id
}
