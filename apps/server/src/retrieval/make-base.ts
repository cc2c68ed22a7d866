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
import type { Logger } from '../log.ts'
import { resetCustomSettings } from './custom-settings.ts'
import { eventTriggers, quarantine } from './dump/import-finish.ts'
import { type MaskingProgress, maskCluster } from './masking/masking.ts'
import type { Masking } from './masking/prepare.ts'
import { keepPlanSettings, statisticsSettings } from './plan-settings.ts'
import type { CheckedCluster, CheckedRows, CheckedSource, CheckedStandby, Reporter } from './source.ts'

export interface GenerationOptions {
  catalogue: Catalogue
  provisioner: Provisioner
  ports: PortPool
  log: Logger
  /** LabError NOT_ENOUGH_DISK_SPACE where the pool has no room for this much more. */
  requireBytes(bytes: number): Promise<void>
  /** What becomes of the data before anybody sees it; undefined for nothing. The sample is nobody's, and stays as it is. */
  masking: Masking | undefined
  /** Settings of databases and roles whose names have a dot are no secrets. */
  keepSettings: boolean
  /** The server that bases run on is npm's, which the system's packages don't extend. */
  embedded: boolean
}

type Adopted = CheckedCluster | CheckedStandby

/** A base that is whole, and shut down cleanly. */
export interface MadeBase {
  facts: ClusterFacts
  /** The main one. */
  database: string
  /** Its bootstrap superuser, where it is not the lab's own role. */
  superuser: string
  /** Which rules it was masked by; empty for none. */
  maskVersion: string
  /** The settings of its source that decide plans are kept with it. */
  hasPlanSettings: boolean
  dataStateAt: Date
}

/**
 * Brings the data into a volume that the catalogue has as pending from then on, masks it, makes it ready for clones, and shuts it down.
 *
 * @throws what the source does; LabError, ProvisionError. Then the volume holds nothing that anybody may see.
 */
export async function makeBase(
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
      const { steps, masked } = adoptionSteps(options, source, reporter)
      const spec = { volumeId, labels: LABELS, settings: statisticsSettings(source) }
      const facts = await options.provisioner.adoptSnapshot(ref, spec, steps)
      const base = adoptedBase(facts, source, reporter, caughtUpAt)
      return { ...base, maskVersion: masked(), ...(await planFacts(options, volumeId, source, facts, reporter)) }
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
  options: GenerationOptions,
  volumeId: string,
  source: CheckedRows,
  reporter: Reporter,
): Promise<MadeBase> {
  const { provisioner, ports, embedded } = options
  const { databases, loginRoles, sample, fill } = source
  const port = await ports.lend({ owner: volumeId })
  try {
    let dataStateAt = new Date()
    let maskVersion = ''
    const facts = await provisioner.createBase(
      { volumeId, databases, port, loginRoles, settings: statisticsSettings(source), labels: LABELS },
      async (instance) => {
        dataStateAt = await fill({ instance, volumePath: dirname(instance.dataDir), embedded }, reporter)
        // Made up data is nobody's.
        if (!sample) maskVersion = await mask(options, instance, databases[0], reporter)
        await resetSettings(options, instance, reporter)
        reporter.progress({ step: 'FINISH' })
      },
      reporter.signal,
    )
    const { hasPlanSettings } = await planFacts(options, volumeId, source, undefined, reporter)
    return { facts, database: databases[0], superuser: '', maskVersion, hasPlanSettings, dataStateAt }
  } finally {
    ports.release(port, volumeId)
  }
}

async function adoptBase(
  options: GenerationOptions,
  volumeId: string,
  source: CheckedCluster,
  reporter: Reporter,
): Promise<MadeBase> {
  await using stack = new AsyncDisposableStack()
  stack.defer(() => source.release?.())
  const { recovery, settingsOfSource, foreign, takenAt } = source
  const { steps, masked } = adoptionSteps(options, source, reporter)
  const facts = await options.provisioner.adoptBase(
    { volumeId, labels: LABELS, recovery, settingsOfSource, foreign, settings: statisticsSettings(source) },
    {
      ...steps,
      bring: async (places) => {
        reporter.progress({ step: 'COPY' })
        await source.copy(places, reporter)
        reporter.progress({ step: 'RECOVER' })
      },
    },
  )
  const base = adoptedBase(facts, source, reporter, takenAt)
  return { ...base, maskVersion: masked(), ...(await planFacts(options, volumeId, source, facts, reporter)) }
}

/** The server's own word counts for more than its files, which don't tell how it was started. */
async function planFacts(
  { provisioner }: GenerationOptions,
  volumeId: string,
  { planSettings, sample }: CheckedSource,
  adopted: AdoptedFacts | undefined,
  reporter: Reporter,
): Promise<Pick<MadeBase, 'hasPlanSettings'>> {
  if (sample) return { hasPlanSettings: false }
  const settings = planSettings ?? adopted?.settingsOfFiles
  return { hasPlanSettings: await keepPlanSettings(provisioner, volumeId, settings, reporter) }
}

/** What is done with a cluster that comes from elsewhere once it is in the lab, and by which rules it was masked then. */
function adoptionSteps(
  options: GenerationOptions,
  source: Adopted,
  reporter: Reporter,
): { steps: Omit<AdoptSteps, 'bring'>; masked: () => string } {
  let maskVersion = ''
  const steps: Omit<AdoptSteps, 'bring'> = {
    prepare: async (instance, { open, all }) => {
      for (const database of all) await disconnect(instance, database, reporter)
      maskVersion = await mask(options, instance, mainDatabase(source, open), reporter)
      await resetSettings(options, instance, reporter)
      reporter.progress({ step: 'FINISH' })
      // The rest only takes away.
      return options.masking !== undefined
    },
    onProgress: () => reporter.progress({ step: 'RECOVER' }),
    signal: reporter.signal,
  }
  return { steps, masked: () => maskVersion }
}

const MASKING_STEPS: Readonly<Record<MaskingProgress['step'], string>> = {
  file: 'masking: the SQL files',
  rules: 'masking: the rules',
  coverage: 'masking: looking for what no rule covers',
  scrub: 'masking: rewriting what has been masked, so that no file holds the old values',
}

/** @returns by which rules; empty where there are none */
async function mask(
  { masking, provisioner }: GenerationOptions,
  instance: Instance,
  database: string,
  reporter: Reporter,
): Promise<string> {
  if (!masking) return ''
  reporter.progress({ step: 'MASK' })
  let doing: MaskingProgress['step'] | undefined
  const { maskVersion, notes, tables } = await maskCluster({
    ...{ instance, database, masking, account: provisioner.runtime.account, signal: reporter.signal },
    onProgress: ({ step, done, total }) => {
      if (step !== doing) reporter.info(MASKING_STEPS[step])
      doing = step
      // Each step goes over the tables of each database. How many files there are says nothing of tables.
      reporter.progress({ step: 'MASK', ...(step !== 'file' && { tablesDone: done, tablesTotal: total }) })
    },
  })
  for (const note of notes) reporter.warn(note)
  reporter.info(`masked ${tables} tables, by rules of version ${maskVersion}`)
  return maskVersion
}

/** After the masking, whose constraints and files may look at them. */
async function resetSettings(
  { keepSettings }: GenerationOptions,
  instance: Instance,
  reporter: Reporter,
): Promise<void> {
  if (keepSettings) return
  for (const what of await resetCustomSettings(instance)) reporter.warn(what)
}

/** @throws ProvisionError INVALID where the source names one that there is not */
function mainDatabase({ database }: Adopted, databases: readonly string[]): string {
  const main = database ?? databases.find((name) => name !== 'postgres') ?? 'postgres'
  if (databases.includes(main)) return main
  throw new ProvisionError('INVALID', `the data has no database ${JSON.stringify(main)}`, {
    hint: `Name one of those that it has as the main one: ${databases.join(', ')}.`,
  })
}

/** @param knownAt when it was last known to have all that its source had */
function adoptedBase(
  facts: AdoptedFacts,
  source: Adopted,
  reporter: Reporter,
  knownAt?: Date,
): Omit<MadeBase, 'maskVersion' | 'hasPlanSettings'> {
  tellAdopted(facts, source, reporter)
  const database = mainDatabase(source, facts.databases)
  const { at } = facts.recovery
  const dataStateAt = knownAt !== undefined && knownAt > at ? knownAt : at
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
  { recovery, removed, notKept, rolledBack, collations }: AdoptedFacts,
  { anyLocale }: Adopted,
  reporter: Reporter,
): void {
  reporter.info(`recovered to log ${recovery.lsn} on timeline ${recovery.timeline}, as of ${recovery.at.toISOString()}`)
  if (removed.length > 0) reporter.info(`left out: ${removed.join(', ')}`)
  if (notKept.length > 0) reporter.warn(`settings of the source that this machine does not take: ${notKept.join(', ')}`)
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
