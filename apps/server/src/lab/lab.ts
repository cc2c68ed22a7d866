import { failPoint, type Provisioner, startSmallProcess } from '@dblab/provision'
import { openAccess } from '../access/access.ts'
import type { Catalogue } from '../catalogue/catalogue.ts'
import { BETWEEN_QUESTIONS_MS } from '../cloning/monitor.ts'
import { PULSE_PARTS } from '../cloning/pulses.ts'
import type { Environment } from '../config/load.ts'
import type { Config } from '../config/schema.ts'
import { OpenStreams } from '../events/open-streams.ts'
import type { Logger } from '../log.ts'
import { Metrics } from '../metrics/metrics.ts'
import type { GenerationOptions } from '../retrieval/make-base.ts'
import type { Services } from '../services.ts'
import { standingWarnings } from '../status/standing-warnings.ts'
import { StatusService } from '../status/status-service.ts'
import { InTurn, repeat } from './background.ts'
import { renewCertificates } from './certificate.ts'
import { makeCore } from './core.ts'
import { type Foundations, openFoundations } from './foundations.ts'
import { readOrMakeToken } from './identity.ts'
import { openCatalogue } from './open-catalogue.ts'
import { generationOptions, keepFollowing, makeRetrieval, startSchedule } from './retrieval.ts'
import { checkPostgres } from './settings.ts'
import { unenforcedLimits } from './unenforced.ts'

/** Within this time it is seen that a clone's Postgres has ended. */
const PULSE_EVERY_MS = 1000
/** How often the clones are looked at. */
const LOOK_EVERY_MS = 15_000
/** To look whether there are any to write costs next to nothing. */
const LABELS_EVERY_MS = 1000
/** Each that is taken has the pool filled again; this is for newer data, and for times when others come first. */
const WARM_EVERY_MS = 250
const DISK_EVERY_MS = 10_000
/** Their sizes, less often: to measure a volume costs more, the larger it is. */
const MEASURE_EVERY_MS = 60_000

export interface Lab extends AsyncDisposable {
  services: Services
  foundations: Foundations
  catalogue: Catalogue
  provisioner: Provisioner
  /** True when the lab's catalogue is lost: then nothing is made or removed. */
  readOnly: boolean
  /** What data is brought in with. */
  generationOptions: () => Promise<GenerationOptions>
  firstToken: string
  /** True when the token was made by this start, so that its owner has not seen it. */
  tokenIsNew: boolean
}

export interface LabOptions {
  config: Config
  /** Instead of the one in the data directory. */
  token: string | undefined
  environment: Environment
  /** The sources are those of one command, not the configured ones: what follows those is not looked after, and stays. */
  otherSources?: boolean
  version: string
  log: Logger
}

/** Opens a lab and brings its catalogue, its storage and its processes together. Disposing it leaves the clones running. */
export async function openLab({
  config,
  token,
  environment,
  otherSources = false,
  version,
  log,
}: LabOptions): Promise<Lab> {
  const { dataDir } = config
  await using stack = new AsyncDisposableStack()
  const foundations = stack.use(await openFoundations(config, 'serve'))
  const { storage, runtime, identity } = foundations
  logPlaces(foundations, config, log)
  const kept = token === undefined ? await readOrMakeToken(dataDir) : { token, made: false }
  const { catalogue, lost } = await openCatalogue(dataDir, identity)
  stack.defer(() => catalogue.close())
  if (lost !== undefined) log.error('the catalogue is lost; nothing will be made or removed', { reason: lost })
  else await checkPostgres(runtime, catalogue, config, log)
  const access = stack.use(openAccess({ config, catalogue, lost, firstToken: kept.token, log }))
  const core = await makeCore({ config, foundations, catalogue, lost, audit: access.audit, log })
  const { clones, snapshots, disk, jobs, monitor, provisioner, hub } = core
  stack.use(core.changes)
  await disk.refresh()
  // For what the end of the jobs has changed.
  if (lost === undefined) stack.defer(() => core.labels.round())
  // These end after the jobs, which add to them.
  stack.use(core.chores)
  stack.use(core.room)
  stack.use(core.garbage)
  stack.use(core.replaced)
  stack.defer(() => jobs.close())
  const problems = lost === undefined ? await core.reconciler.reconcile() : []
  await failPoint('start.reconciled')
  for (const problem of problems) log.error('out of order', { problem })
  await renewCertificates(runtime, config, log)
  if (lost === undefined) {
    stack.use(repeat('keeping labels', LABELS_EVERY_MS, () => core.labels.round(), log))
    stack.use(repeat('starting instances ahead', WARM_EVERY_MS, () => core.warm.fill(), log))
    // Cut off before the round, which waits for it, is to end.
    stack.use(core.warm)
    const collectGarbage = async () => {
      core.garbage.collectSoon()
      // Somebody else may have made room, too.
      core.freed()
    }
    stack.use(repeat('collecting garbage', LOOK_EVERY_MS, collectGarbage, log))
    const freeMemory = async () => {
      const segments = await runtime.freeAbandonedMemory()
      if (segments.length > 0) log.warn('freed shared memory that a killed Postgres process has left', { segments })
    }
    stack.use(repeat('freeing abandoned memory', LOOK_EVERY_MS, freeMemory, log))
  }
  stack.use(repeat('reading the disk', DISK_EVERY_MS, () => disk.refresh(), log))
  stack.use(repeat('keeping a reserve', DISK_EVERY_MS, () => catalogue.keepReserve(dataDir), log))
  stack.use(repeat('looking after clones', LOOK_EVERY_MS, (signal) => monitor.round(signal), log))
  stack.use(repeat('feeling the pulse of clones', PULSE_EVERY_MS / PULSE_PARTS, () => monitor.pulse(), log))
  // One that says nothing keeps nobody from asking the others.
  const questions = new InTurn()
  const ask = () => questions.add((signal) => monitor.ask(signal))
  stack.use(repeat('asking clones whether they answer', BETWEEN_QUESTIONS_MS, ask, log))
  // Cut off before the round, which waits for them, is to end.
  stack.use(questions)
  stack.use(repeat('measuring clones', MEASURE_EVERY_MS, () => monitor.measure(), log))
  // Cut off before the round, which waits for it, is to end.
  stack.use(core.sizes)
  stack.use(repeat('trimming logs', LOOK_EVERY_MS, () => runtime.trimLogs(), log))
  const world = { config, foundations, core, catalogue, lost, environment, log }
  const { retrieval, follower } = makeRetrieval(world)
  stack.use(retrieval)
  if (lost === undefined) {
    retrieval.closeAbandonedRuns()
    if (!otherSources) stack.use(await keepFollowing(follower, { catalogue, core, log }))
    stack.use(startSchedule(retrieval, config, log))
  }
  const standing = standingWarnings(config, lost, problems, unenforcedLimits(config, foundations))
  const status = new StatusService({
    ...core,
    catalogue,
    audit: access.audit,
    retrieval,
    version,
    standing,
    defaultProfile: config.clones.profile,
    ...storage,
    storage: storage.driver,
  })
  const metrics = stack.use(new Metrics({ ...core, catalogue, retrieval, status, version }))
  const events = { hub, streams: new OpenStreams() }
  // Not before: what a start runs is run sooner than this process is there.
  startSmallProcess()
  const whole = stack.move()
  return {
    services: { clones, snapshots, retrieval, status, metrics, events, access, catalogue },
    firstToken: kept.token,
    ...{ foundations, catalogue, provisioner },
    generationOptions: () => generationOptions(world),
    readOnly: lost !== undefined,
    tokenIsNew: kept.made,
    [Symbol.asyncDispose]: () => whole.disposeAsync(),
  }
}

/** What a person asks first: where the data is, on what, and run by whom. */
function logPlaces(
  { storage: { choice }, runtime: { account }, identity: { stateDir }, isNew }: Foundations,
  config: Config,
  log: Logger,
): void {
  const { driver, embedded } = choice
  log.info('storage is open', { driver, embedded, account: account.name, stateDir })
  if (isNew) {
    for (const { driver: other, reason, hint } of choice.passedOver) log.info(`it is not ${other}: ${reason}`, { hint })
  }
  if (driver === 'copy') {
    log.warn('every clone copies every byte; "pool" in GET /status says what a better driver needs')
  }
  if (stateDir !== config.dataDir) {
    log.info(`Postgres runs as ${account.name}, who can not enter ${config.dataDir}: its data lies in ${stateDir}`)
  }
}
