import { basename, resolve } from 'node:path'
import { createImportRole, findClientTools, IMPORT_ROLE } from '@dblab/provision'
import { LabError } from '../errors.ts'
import type { Lab } from '../lab/lab.ts'
import { places } from '../lab/places.ts'
import type { Logger } from '../log.ts'
import { inspectDump } from './dump.ts'
import { makeGeneration, type Source } from './generation.ts'
import { importDump } from './import.ts'
import { progressLog } from './progress-log.ts'
import { fillSample } from './sample.ts'

/** The sample's database. */
const SAMPLE_DATABASE = 'shop'

export interface BringInOptions {
  /** A dump to import. */
  import?: string
  /** Of the sample. */
  scale: number
}

/** Brings in the dump that was asked for; else, into a lab without any data, the sample. */
export async function bringIn(lab: Lab, options: BringInOptions, signal: AbortSignal, log: Logger): Promise<void> {
  if (lab.readOnly) {
    if (options.import === undefined) return
    throw new LabError('CATALOGUE_UNREADABLE', 'nothing can be imported while the catalogue is lost')
  }
  const { catalogue, provisioner, ports } = lab
  const generation = { catalogue, provisioner, ports, log }
  if (options.import !== undefined) {
    const id = await makeGeneration(generation, await dumpSource(lab, resolve(options.import), signal, log), signal)
    const [newest] = catalogue.snapshots.listPublished()
    if (newest && newest.id !== id) {
      log.warn('the imported data is older than data that is there: clones that name no snapshot still get that', {
        imported: id,
        newest: newest.id,
      })
    }
  } else if (catalogue.volumes.base() === undefined) {
    log.info('making the sample database', { database: SAMPLE_DATABASE, megabytes: Math.ceil(300 * options.scale) })
    await makeGeneration(generation, sampleSource(options.scale, log), signal)
  }
}

function sampleSource(scale: number, log: Logger): Source {
  return {
    database: SAMPLE_DATABASE,
    sample: true,
    message: 'Sample database',
    loginRoles: [],
    fill: async (instance, signal) => {
      await createImportRole(instance)
      await fillSample(instance, { database: SAMPLE_DATABASE, scale, signal, onProgress: progressLog(log) })
      return new Date()
    },
  }
}

/** What can be known to fail is refused here, before anything is made. */
async function dumpSource(lab: Lab, path: string, signal: AbortSignal, log: Logger): Promise<Source> {
  const { account } = lab.provisioner.runtime
  const loginDirectory = places.importLogin(lab.foundations.identity.stateDir)
  const embedded = (await lab.foundations.binaries()).source === 'embedded'
  const plan = await inspectDump(path, { tools: await findClientTools(), account, signal })
  log.info('importing', { path, kind: plan.kind, database: plan.database, bytes: plan.sizeBytes, tables: plan.tables })
  return {
    database: plan.database,
    sample: false,
    // Members read it, whom the host's directories do not concern.
    message: `Imported from ${basename(path)}`,
    loginRoles: [IMPORT_ROLE],
    fill: async (instance) => {
      const onProgress = progressLog(log)
      const result = await importDump(plan, instance, { account, loginDirectory, embedded, signal, onProgress })
      for (const note of result.notes) log.warn(note)
      return result.dataStateAt
    },
  }
}
