import { isProvisionError } from '@dblab/provision'
import { Cron } from 'croner'
import type { Catalogue } from '../catalogue/catalogue.ts'
import type { Config } from '../config/schema.ts'
import { LabError } from '../errors.ts'
import type { Logger } from '../log.ts'
import { toSource } from '../retrieval/configured-sources.ts'
import { type GenerationOptions, makeGeneration } from '../retrieval/generation.ts'
import { RetrievalService } from '../retrieval/retrieval-service.ts'
import type { makeCore } from './core.ts'
import type { Foundations } from './foundations.ts'
import { places } from './places.ts'

export interface RetrievalOptions {
  config: Config
  foundations: Foundations
  core: Awaited<ReturnType<typeof makeCore>>
  catalogue: Catalogue
  /** Why the catalogue can't be trusted. */
  lost: string | undefined
  /** A variable of the server's environment. */
  environment: (name: string) => string | undefined
  log: Logger
}

/** What generations are made with. */
export async function generationOptions({
  foundations,
  core,
  catalogue,
  log,
}: Omit<RetrievalOptions, 'config' | 'lost' | 'environment'>): Promise<GenerationOptions> {
  const { provisioner, ports, disk } = core
  const requireBytes = async (bytes: number) => (await disk.takeSpace(bytes))[Symbol.dispose]()
  const embedded = (await foundations.binaries()).source === 'embedded'
  return { catalogue, provisioner, ports, log, requireBytes, embedded }
}

/** Of a run's log, in each event. */
const TOLD_WORDS = 5

/** The service that brings data in, by the configured sources. Nothing has begun yet. */
export function makeRetrieval(options: RetrievalOptions): RetrievalService {
  const { config, foundations, core, catalogue, lost, environment, log } = options
  const { sources, attempts, retrySeconds, keep, maxAgeHours } = config.retrieval
  const { stateDir } = foundations.identity
  const world = {
    account: foundations.runtime.account,
    loginDirectories: { source: places.sourceLogin(stateDir), import: places.importLogin(stateDir) },
    labMajor: async () => (await foundations.binaries()).major,
    requireMajor: foundations.binaries,
    environment,
  }
  return new RetrievalService({
    ...{ catalogue, log, collectGarbage: core.collectGarbage },
    sources: sources.map((source) => toSource(source, world)),
    generate: async (source, reporter) => makeGeneration(await generationOptions(options), source, reporter),
    attempts: { max: attempts, firstPauseMs: retrySeconds * 1000 },
    // A lab that is filled by hand is emptied by hand.
    retention: sources.length > 0 ? { count: keep.count, days: keep.days } : undefined,
    maxAgeMs: maxAgeHours === undefined ? undefined : maxAgeHours * 3_600_000,
    onChange: ({ log: words, ...run }) => {
      const retrieval = { ...run, log: words.slice(-TOLD_WORDS) }
      core.hub.publish({ type: 'retrieval', action: 'changed', subject: run.id, retrieval })
    },
    requireWritable: () => {
      if (lost !== undefined) throw new LabError('CATALOGUE_UNREADABLE', lost, { retryAfterSeconds: 60 })
    },
  })
}

/** Refreshes at the configured times. What is due while one runs, or while the server is down, is left out. */
export function startSchedule(retrieval: RetrievalService, config: Config, log: Logger): Disposable {
  const { schedule, timeZone, sources } = config.retrieval
  if (schedule === undefined || sources.length === 0) return { [Symbol.dispose]: () => undefined }
  const cron = new Cron(schedule, { timezone: timeZone, unref: true }, () => {
    try {
      retrieval.refresh('SCHEDULE')
    } catch (error) {
      if (!(error instanceof LabError) && !isProvisionError(error)) throw error
      log.warn('the scheduled refresh did not begin', { error })
    }
  })
  retrieval.showSchedule({ expression: schedule, timeZone, nextRun: () => cron.nextRun() })
  return { [Symbol.dispose]: () => cron.stop() }
}
