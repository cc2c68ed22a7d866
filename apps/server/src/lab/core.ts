import { hostname } from 'node:os'
import { PortPool, Provisioner } from '@dblab/provision'
import type { AuditLog } from '../access/audit-log.ts'
import type { Catalogue } from '../catalogue/catalogue.ts'
import { CloneService } from '../cloning/clone-service.ts'
import { automaticConcurrency } from '../cloning/concurrency.ts'
import { GarbageCollector } from '../cloning/garbage.ts'
import { Jobs } from '../cloning/jobs.ts'
import { CloneLifecycle } from '../cloning/lifecycle.ts'
import { CloneMonitor } from '../cloning/monitor.ts'
import { Room } from '../cloning/room.ts'
import { WarmPool } from '../cloning/warm/warm-pool.ts'
import type { Config } from '../config/schema.ts'
import { LabError } from '../errors.ts'
import { CatalogueEvents } from '../events/catalogue-events.ts'
import { EventHub } from '../events/event-hub.ts'
import type { Logger } from '../log.ts'
import { LabelKeeper } from '../reconciler/label-keeper.ts'
import { Reconciler } from '../reconciler/reconciler.ts'
import { applyRetention } from '../retrieval/retention.ts'
import { newestSnapshot } from '../snapshots/choose.ts'
import { SnapshotService } from '../snapshots/snapshot-service.ts'
import { DiskMonitor } from '../status/disk.ts'
import { readBootId } from './boot-id.ts'
import { cloneCertificate } from './certificate.ts'
import type { Foundations } from './foundations.ts'
import { Lull } from './lull.ts'
import { cloneSettings, isUnsafe, startDeadlines } from './settings.ts'

export interface CoreOptions {
  config: Config
  foundations: Foundations
  catalogue: Catalogue
  /** Why the catalogue can't be trusted: then nothing may be made or removed. */
  lost: string | undefined
  audit: AuditLog
  log: Logger
}

/** What works in a lab, put together: nothing of it has begun yet. */
export async function makeCore({ config, foundations, catalogue, lost, audit, log }: CoreOptions) {
  const { portFrom, portTo, host, queue, idleMinutes, publicHost } = config.clones
  const tls = cloneCertificate(config)
  const provisioner = new Provisioner({
    storage: foundations.storage.driver,
    runtime: foundations.runtime,
    host,
    tls,
    steering: foundations.steering,
    settings: cloneSettings(config),
    deadlines: startDeadlines(config),
    allowSuperusers: config.postgres.allowSuperusers,
    quotaBytes: config.clones.diskQuota,
    limits: { memoryMaxBytes: config.clones.memoryMax, cpus: config.clones.cpus },
  })
  const ports = new PortPool({ from: portFrom, to: portTo, host })
  const disk = new DiskMonitor(foundations.storage.driver, config.storage, log)
  const pause = () => jobs.pause()
  const garbage = new GarbageCollector({ catalogue, provisioner, log, pause, retire: retirement(config, catalogue) })
  const requireWritable = () => {
    if (lost !== undefined) throw new LabError('CATALOGUE_UNREADABLE', lost, { retryAfterSeconds: 60 })
  }
  const { storage } = provisioner
  const freed = () => lifecycle.restarts.spaceMayBeBack()
  const room = new Room({ catalogue, storage, disk, garbage, log, freed })
  const requireSpace = () => room.requireSpace()
  const collectGarbage = async () => {
    await garbage.collect()
    freed()
  }
  const collectSoon = () => garbage.collectSoon()
  const lull = new Lull()
  const common = {
    catalogue,
    provisioner,
    ports,
    lull,
    log,
    requireWritable,
    requireSpace,
    collectGarbage,
    collectSoon,
  }
  const bytesOfClone = (snapshotBytes: number) => (storage.capabilities.sharesBlocks ? 0 : snapshotBytes)
  const lifecycle: CloneLifecycle = new CloneLifecycle({
    ...common,
    retired: (volumeId, bytes) => room.retired(volumeId, bytes),
    takeSpace: (bytes, signal) => room.takeSpace(bytesOfClone(bytes), signal),
    bootId: await readBootId(),
    isUnsafe: (profile) => isUnsafe(config, profile),
    warm: () => warm,
  })
  const secondsEach = () => catalogue.clones.medianCreationSeconds()
  const begun = (id: string) => changes.mayHaveChanged(id)
  const concurrency = config.clones.concurrency ?? automaticConcurrency()
  const jobs: Jobs = new Jobs({ concurrency, queue, secondsEach, begun }, (error, id) =>
    noteDefect(lifecycle, id, error, log),
  )
  const { masking } = config.retrieval
  const newest = () => newestSnapshot(catalogue.snapshots.listPublished(), { masked: masking !== undefined })
  const warm: WarmPool = new WarmPool({
    ...common,
    newest,
    profile: config.clones.profile,
    max: lost === undefined && provisioner.storage.capabilities.sharesBlocks ? config.clones.warm : 0,
    isBusy: () => !jobs.isIdle,
    // Where room is short, it is others' who wait for it.
    takeSpace: (bytes) => disk.takeSpace(bytesOfClone(bytes)),
  })
  const clones = new CloneService({
    ...common,
    requireSpace: () => room.requireSpaceInSight(),
    ...{ lifecycle, jobs, publicHost: publicHost ?? reachableName(host), tls: tls !== undefined },
    warm,
    requireMasked: masking !== undefined,
    allowSuperusers: config.postgres.allowSuperusers,
    defaultProfile: config.clones.profile,
    limits: config.clones,
  })
  const hub = new EventHub()
  const changes: CatalogueEvents = new CatalogueEvents({ catalogue, viewOf: (id) => clones.get(id), hub, log })
  lifecycle.books.onChange((id) => changes.mayHaveChanged(id))
  return {
    ...{ hub, changes, garbage, room, freed },
    ...{
      provisioner,
      ports,
      disk,
      jobs,
      clones,
      warm,
      sizes: lifecycle.sizes,
      ends: lifecycle.books.ends,
      chores: lifecycle.chores,
      replaced: lifecycle.books.replaced,
    },
    snapshots: new SnapshotService({ ...common, jobs, freePort: (cloneId) => lifecycle.books.replaced.gone(cloneId) }),
    labels: new LabelKeeper({ catalogue, storage: foundations.storage.driver, log }),
    collectGarbage: common.collectGarbage,
    reconciler: new Reconciler({ ...common, lifecycle, jobs }),
    monitor: new CloneMonitor({ ...common, clones, lifecycle, jobs, idleMinutes, audit }),
  }
}

/** A lab that is filled by hand is emptied by hand. */
function retirement({ retrieval }: Config, catalogue: Catalogue): () => string[] {
  const { sources, keep, masking } = retrieval
  if (sources.length === 0) return () => []
  return () => applyRetention(catalogue, { count: keep.count, days: keep.days, masked: masking !== undefined })
}

function noteDefect(lifecycle: CloneLifecycle, id: string, error: unknown, log: Logger): void {
  log.error('an operation ended in a defect', { clone: id, error })
  try {
    lifecycle.endedInDefect(id, error)
  } catch (second) {
    // The clone still waits for the operation: the next look at the clones does it again.
    log.error('the defect could not be noted', { clone: id, error: second })
  }
}

/** An address that stands for all of them is none to connect to. */
function reachableName(host: string): string {
  return ['0.0.0.0', '::', '*'].includes(host) ? hostname() : host
}
