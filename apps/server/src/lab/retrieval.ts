import { isProvisionError } from '@dblab/provision'
import { Cron } from 'croner'
import type { Catalogue } from '../catalogue/catalogue.ts'
import type { Environment } from '../config/load.ts'
import type { Config } from '../config/schema.ts'
import { LabError } from '../errors.ts'
import type { Logger } from '../log.ts'
import { type PhysicalConfig, readPassword, slotOf, toSource } from '../retrieval/configured-sources.ts'
import { makeGeneration } from '../retrieval/generation.ts'
import { describeAddress, parseSourceUrl } from '../retrieval/live/address.ts'
import type { GenerationOptions } from '../retrieval/make-base.ts'
import { prepareMasking } from '../retrieval/masking/prepare.ts'
import { Follower, retireStandby } from '../retrieval/physical/follower.ts'
import { RetrievalService } from '../retrieval/retrieval-service.ts'
import { outlineOf } from '../retrieval/runs/outline.ts'
import { repeat } from './background.ts'
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
  environment: Environment
  log: Logger
}

/** What generations are made with. */
export async function generationOptions({
  config,
  environment,
  foundations,
  core,
  catalogue,
  log,
}: Omit<RetrievalOptions, 'lost'>): Promise<GenerationOptions> {
  const { provisioner, ports, room } = core
  const { masking: rules, keepSettings } = config.retrieval
  const masking = rules && (await prepareMasking(rules, environment))
  const requireBytes = async (bytes: number) => (await room.takeSpace(bytes))[Symbol.dispose]()
  const embedded = (await foundations.binaries()).source === 'embedded'
  return { catalogue, provisioner, ports, log, requireBytes, masking, keepSettings, embedded }
}

/** What brings data in, by the configured sources. Nothing has begun yet. */
export function makeRetrieval(options: RetrievalOptions): {
  retrieval: RetrievalService
  follower: Follower | undefined
} {
  const { config, foundations, core, catalogue, lost, environment, log } = options
  const { sources, attempts, retrySeconds, keep, maxAgeHours, masking } = config.retrieval
  const { stateDir } = foundations.identity
  const world = {
    account: foundations.runtime.account,
    loginDirectories: { source: places.sourceLogin(stateDir), import: places.importLogin(stateDir) },
    labMajor: async () => (await foundations.binaries()).major,
    requireMajor: foundations.binaries,
    storage: foundations.storage.driver,
    keep,
    environment,
  }
  const followed = sources.find((source) => source.kind === 'physical' && source.follow !== false)
  const follower = followed?.kind === 'physical' ? makeFollower(followed, options) : undefined
  const retrieval = new RetrievalService({
    ...{ catalogue, log, follower, collectGarbage: core.collectGarbage },
    sources: sources.map((source) =>
      toSource(source, { ...world, follower: (config) => (config === followed ? follower : undefined) }),
    ),
    generate: async (source, reporter, onPublished) =>
      makeGeneration(await generationOptions(options), source, reporter, onPublished),
    attempts: { max: attempts, firstPauseMs: retrySeconds * 1000 },
    requireMasked: masking !== undefined,
    maxAgeMs: maxAgeHours === undefined ? undefined : maxAgeHours * 3_600_000,
    // Members hear of it too; what only admins may know is in GET /retrieval.
    onChange: (run) =>
      core.hub.publish({ type: 'retrieval', action: 'changed', subject: run.id, retrieval: outlineOf(run) }),
    requireWritable: () => {
      if (lost !== undefined) throw new LabError('CATALOGUE_UNREADABLE', lost, { retryAfterSeconds: 60 })
    },
  })
  return { retrieval, follower }
}

function makeFollower(config: PhysicalConfig, { catalogue, core, environment, log }: RetrievalOptions): Follower {
  const address = parseSourceUrl(config.url)
  const { host, port, user: username, sslMode, sslRootCert } = address
  const restoreCommand = typeof config.follow === 'object' ? config.follow.restoreCommand : undefined
  return new Follower({
    ...{ catalogue, log, restoreCommand, provisioner: core.provisioner, collectGarbage: core.collectGarbage },
    source: `postgresql://${describeAddress(address)}`,
    slot: slotOf(config),
    primary: async () => ({
      ...{ host, port, username, sslMode, password: await readPassword(config, environment) },
      parameters: { ...KEEPALIVES, ...(sslRootCert !== undefined && { sslrootcert: sslRootCert }) },
    }),
  })
}

/** A source that is gone without a word is noticed within half a minute: https://www.postgresql.org/docs/current/libpq-connect.html */
const KEEPALIVES = {
  connect_timeout: '10',
  keepalives_idle: '10',
  keepalives_interval: '5',
  keepalives_count: '3',
  tcp_user_timeout: '30000',
}

/** How often a standby is looked at. */
const TEND_EVERY_MS = 5000

/** Looks after the standby, and lets it go on by itself when this is disposed. What followed another source goes. */
export async function keepFollowing(
  follower: Follower | undefined,
  { catalogue, core, log }: Pick<RetrievalOptions, 'catalogue' | 'core' | 'log'>,
): Promise<AsyncDisposable> {
  const standby = catalogue.volumes.standby()
  if (standby && standby.standby?.source !== follower?.source) {
    log.info('the standby of a source that is not followed any more goes', { source: standby.standby?.source })
    await retireStandby(standby.id, { ...core, catalogue })
  }
  const closing = new AbortController()
  const tending = follower && repeat('following the source', TEND_EVERY_MS, () => follower.tend(closing.signal), log)
  return {
    [Symbol.asyncDispose]: async () => {
      closing.abort()
      await tending?.[Symbol.asyncDispose]()
    },
  }
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
