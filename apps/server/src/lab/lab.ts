import { hostname } from 'node:os'
import type { Warning } from '@dblab/models'
import { isProvisionError, PortPool, Provisioner } from '@dblab/provision'
import type { Catalogue } from '../catalogue/catalogue.ts'
import { CloneService } from '../cloning/clone-service.ts'
import { GarbageCollector } from '../cloning/garbage.ts'
import { Jobs } from '../cloning/jobs.ts'
import { CloneLifecycle } from '../cloning/lifecycle.ts'
import { CloneMonitor } from '../cloning/monitor.ts'
import { ConfigError } from '../config/load.ts'
import type { Config } from '../config/schema.ts'
import { LabError } from '../errors.ts'
import type { Logger } from '../log.ts'
import { Reconciler } from '../reconciler/reconciler.ts'
import type { Services } from '../services.ts'
import { SnapshotService } from '../snapshots/snapshot-service.ts'
import { DiskMonitor } from '../status/disk.ts'
import { StatusService } from '../status/status-service.ts'
import { repeat } from './background.ts'
import { readBootId } from './boot-id.ts'
import { type Foundations, openFoundations } from './foundations.ts'
import { readOrMakeToken } from './identity.ts'
import { type OpenedCatalogue, openCatalogue } from './open-catalogue.ts'

/** How often the clones are looked at: within this time one whose Postgres died runs again. */
const LOOK_EVERY_MS = 15_000
const DISK_EVERY_MS = 10_000
/** Their sizes, less often: to measure a volume costs more, the larger it is. */
const MEASURE_EVERY_MS = 60_000

export interface Lab extends AsyncDisposable {
  services: Services
  foundations: Foundations
  catalogue: Catalogue
  provisioner: Provisioner
  ports: PortPool
  /** True when the lab's catalogue is lost: then nothing is made or removed. */
  readOnly: boolean
  /** True when the token was made by this start, so that its owner has not seen it. */
  tokenIsNew: boolean
}

export interface LabOptions {
  config: Config
  /** Instead of the one in the data directory. */
  token: string | undefined
  version: string
  log: Logger
}

/** Opens a lab and brings its catalogue, its storage and its processes together. Disposing it leaves the clones running. */
export async function openLab({ config, token, version, log }: LabOptions): Promise<Lab> {
  await using stack = new AsyncDisposableStack()
  const foundations = stack.use(await openFoundations(config, 'serve'))
  const { storage, runtime, identity } = foundations
  logPlaces(foundations, config, log)
  const opened = await openCatalogue(config.dataDir, identity)
  const { catalogue, lost } = opened
  stack.defer(() => catalogue.close())
  if (lost !== undefined) log.error('the catalogue is lost; nothing will be made or removed', { reason: lost })
  const provisioner = new Provisioner({
    storage: storage.driver,
    runtime,
    host: config.clones.host,
    settings: cloneSettings(config),
    allowSuperusers: config.postgres.allowSuperusers,
  })
  await checkPostgresSettings(provisioner, catalogue, config, log)
  const { portFrom, portTo, host, concurrency, queue, idleMinutes, publicHost } = config.clones
  const ports = new PortPool({ from: portFrom, to: portTo, host })
  const jobs = new Jobs({ concurrency, queue }, (error, id) => {
    log.error('an operation ended in a defect', { clone: id, error })
    try {
      lifecycle.endedInDefect(id, error)
    } catch (second) {
      // The clone still waits for the operation: the next look at the clones does it again.
      log.error('the defect could not be noted', { clone: id, error: second })
    }
  })
  const garbage = new GarbageCollector(catalogue, provisioner, log)
  const collectGarbage = () => garbage.collect()
  const disk = new DiskMonitor(storage.driver, config.storage, log)
  await disk.refresh()
  const bootId = await readBootId()
  const lifecycle = new CloneLifecycle({
    catalogue,
    provisioner,
    ports,
    log,
    collectGarbage,
    bootId,
    unsafe: isUnsafe(config),
  })
  const requireWritable = (growing: boolean) => {
    if (lost !== undefined) throw new LabError('CATALOGUE_UNREADABLE', lost, { retryAfterSeconds: 60 })
    if (growing) disk.requireSpace()
  }
  const clones = new CloneService({
    catalogue,
    lifecycle,
    jobs,
    ports,
    requireWritable,
    publicHost: publicHost ?? reachableName(host),
  })
  const snapshots = new SnapshotService({ catalogue, provisioner, jobs, log, collectGarbage, requireWritable })
  const problems: string[] = []
  const status = new StatusService({
    catalogue,
    clones,
    snapshots,
    disk,
    ports,
    storage: storage.driver,
    choice: storage.choice,
    version,
    standing: () => standingWarnings(config, opened, problems),
  })
  stack.defer(() => jobs.close())
  if (lost === undefined) {
    const reconciler = new Reconciler({ catalogue, provisioner, lifecycle, jobs, ports, log, collectGarbage })
    problems.push(...(await reconciler.reconcile()))
    for (const problem of problems) log.error('out of order', { problem })
  }
  const monitor = new CloneMonitor({ catalogue, provisioner, clones, lifecycle, jobs, log, idleMinutes })
  stack.use(repeat('reading the disk', DISK_EVERY_MS, () => disk.refresh(), log))
  stack.use(repeat('keeping a reserve', DISK_EVERY_MS, () => catalogue.keepReserve(config.dataDir), log))
  stack.use(repeat('looking after clones', LOOK_EVERY_MS, () => monitor.round(), log))
  stack.use(repeat('measuring clones', MEASURE_EVERY_MS, () => monitor.measure(), log))
  stack.use(repeat('trimming logs', LOOK_EVERY_MS, () => runtime.trimLogs(), log))
  const kept = token === undefined ? await readOrMakeToken(config.dataDir) : { token, made: false }
  const whole = stack.move()
  return {
    services: { clones, snapshots, status, token: kept.token },
    foundations,
    catalogue,
    provisioner,
    ports,
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

/** A setting that Postgres refuses would keep every clone from coming up: it is refused here, before anything is started or stopped. */
async function checkPostgresSettings(
  { runtime }: Provisioner,
  { snapshots }: Catalogue,
  config: Config,
  log: Logger,
): Promise<void> {
  try {
    await runtime.checkSettings(cloneSettings(config), snapshots.listPublished()[0]?.postgresVersion)
  } catch (error) {
    if (isProvisionError(error, 'INVALID'))
      throw new ConfigError(`postgres.settings: ${error.message}`, { cause: error })
    if (!isProvisionError(error, 'UNAVAILABLE')) throw error
    if (config.postgres.binDir) throw new ConfigError(`postgres.binDir: ${error.message}`, { cause: error })
    // The clones that run go on without it.
    log.error('there is no Postgres for the newest data', { error })
  }
}

function cloneSettings(config: Config): Record<string, string> {
  return Object.fromEntries(Object.entries(config.postgres.settings).map(([name, value]) => [name, toSetting(value)]))
}

/** YAML's `on` and `true` arrive as booleans. */
function toSetting(value: string | number | boolean): string {
  if (typeof value === 'boolean') return value ? 'on' : 'off'
  return String(value)
}

/** Postgres takes any beginning of these words that is one of no other ("Setting Parameters"). */
function isUnsafe(config: Config): boolean {
  return /^(of|off|f|fa|fal|fals|false|n|no|0)$/i.test(cloneSettings(config).fsync ?? 'on')
}

function standingWarnings(config: Config, { lost }: OpenedCatalogue, problems: string[]): Warning[] {
  const warnings: Warning[] = []
  if (lost !== undefined) {
    warnings.push({
      code: 'CATALOGUE_LOST',
      message: `The catalogue can't be used: ${lost}`,
      hint: 'Nothing was removed, and running clones go on. Put a good copy of catalogue.db in its place and start the server again',
    })
  }
  if (!config.tls && !isLoopback(config.host)) {
    warnings.push({
      code: 'INSECURE_CONNECTION',
      message: 'The API listens beyond loopback without TLS, so the token goes over the network in clear',
      hint: 'Configure tls.certFile and tls.keyFile, or let host be 127.0.0.1 and put a TLS proxy before it',
    })
  }
  if (!isLoopback(config.clones.host)) {
    warnings.push({
      code: 'INSECURE_CONNECTION',
      message: 'Clones listen beyond loopback without TLS, so their data goes over the network in clear',
      hint: 'Let clones.host be 127.0.0.1, or the address of a network that you trust as much as the host',
    })
  }
  for (const message of problems) {
    warnings.push({
      code: 'RECONCILE_FAILED',
      message,
      hint: "See the server's log; it is tried again at the next start",
    })
  }
  return warnings
}

/** An address that stands for all of them is none to connect to. */
function reachableName(host: string): string {
  return ['0.0.0.0', '::', '*'].includes(host) ? hostname() : host
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127\./.test(host)
}
