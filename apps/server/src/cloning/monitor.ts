import { type ActivitySample, isProvisionError, type Provisioner, sampleActivity, wasUsed } from '@dblab/provision'
import type { AuditLog } from '../access/audit-log.ts'
import type { Catalogue } from '../catalogue/catalogue.ts'
import type { CloneRecord } from '../catalogue/clones.ts'
import { LabError } from '../errors.ts'
import type { Logger } from '../log.ts'
import type { CloneService } from './clone-service.ts'
import type { Jobs } from './jobs.ts'
import type { CloneLifecycle } from './lifecycle.ts'
import { isUnderWay, resumeOperation } from './resume.ts'

export interface MonitorOptions {
  catalogue: Catalogue
  provisioner: Provisioner
  clones: CloneService
  lifecycle: CloneLifecycle
  jobs: Jobs
  log: Logger
  audit: Pick<AuditLog, 'addOwn'>
  /** 0 for never. */
  idleMinutes: number
}

/** Looks after clones while nobody asks: those that are over, idle, or whose Postgres died; and how large they are. */
export class CloneMonitor {
  readonly #options: MonitorOptions
  /** By volume: after a reset, another Postgres counts from nothing. */
  readonly #samples = new Map<string, ActivitySample>()

  constructor(options: MonitorOptions) {
    this.#options = options
  }

  /** One round over all clones, one after the other: in the background it must not take what creations need. */
  async round(): Promise<void> {
    const { clones } = this.#options.catalogue
    for (const { id } of clones.list()) {
      // Read anew: the round takes time, and clones change meanwhile.
      const clone = clones.get(id)
      if (clone) await this.#look(clone)
    }
    const volumes = new Set(clones.list().map((clone) => clone.volumeId))
    for (const volumeId of this.#samples.keys()) if (!volumes.has(volumeId)) this.#samples.delete(volumeId)
  }

  /** Reads how much each clone holds. */
  async measure(): Promise<void> {
    const { catalogue, lifecycle } = this.#options
    for (const { id } of catalogue.clones.list()) await lifecycle.measure(id)
  }

  async #look(clone: CloneRecord): Promise<void> {
    const { jobs, log } = this.#options
    try {
      const { protected: isProtected, deleteAt } = clone
      if (!isProtected && deleteAt !== null && deleteAt <= new Date().toISOString())
        this.#delete(clone, 'its time is over')
      else if (clone.status === 'OK') await this.#lookAtRunning(clone)
      else if (isUnderWay(clone) && !jobs.isBusy(clone.id)) this.#resume(clone)
    } catch (error) {
      // A clone may go, or be swapped, under a look at it; the next round sees what is true then.
      if (!isProvisionError(error)) throw error
      log.debug('could not look at a clone', { clone: clone.id, error: error.message })
    }
  }

  /** A defect ended the job, and could not even be noted: the clone must not wait for ever. */
  #resume(clone: CloneRecord): void {
    const { jobs, lifecycle, log } = this.#options
    log.error('an operation has no job behind it; doing it again', { clone: clone.id, status: clone.status })
    resumeOperation(clone, jobs, lifecycle)
  }

  async #lookAtRunning(clone: CloneRecord): Promise<void> {
    const { provisioner, lifecycle, jobs, log } = this.#options
    if (clone.volumeId === null || lifecycle.restarts.isStarting(clone.id) || jobs.isBusy(clone.id)) return
    const instance = await provisioner.runtime.inspect(clone.volumeId)
    if (instance?.state !== 'running') {
      if (!lifecycle.restarts.mayRetry(clone.id)) return
      log.warn('a clone is down; starting it again', { clone: clone.id })
      lifecycle.restarts.markStarting(clone.id)
      void jobs.add(clone.id, (signal) => lifecycle.restarts.restart(clone.id, signal))
      return
    }
    if (this.#options.idleMinutes === 0) return
    const sample = await sampleActivity(instance)
    // It may have changed while it was looked at: what is judged is what it is now.
    const now = this.#options.catalogue.clones.get(clone.id)
    if (now?.status === 'OK' && now.volumeId === clone.volumeId) this.#watchUse(now, clone.volumeId, sample)
  }

  /** Use is what Postgres itself has seen: an open session, or one that came and went since the last look. */
  #watchUse(clone: CloneRecord, volumeId: string, sample: ActivitySample): void {
    const { catalogue, idleMinutes } = this.#options
    const before = this.#samples.get(volumeId)
    this.#samples.set(volumeId, sample)
    const now = new Date()
    if (!before || wasUsed(before, sample)) {
      // The first look after a start of the server knows nothing of before: it gives the clone its whole time.
      catalogue.clones.update(clone.id, { lastUsedAt: now.toISOString() })
      return
    }
    const idle = now.getTime() - Date.parse(clone.lastUsedAt)
    if (!clone.protected && idle >= idleMinutes * 60_000)
      this.#delete(clone, `nobody used it for ${idleMinutes} minutes`)
  }

  #delete(clone: CloneRecord, reason: string): void {
    const { clones, audit, log } = this.#options
    log.info('deleting a clone', { clone: clone.id, reason })
    try {
      clones.delete(clone.id)
      audit.addOwn({ operation: 'CloneDelete', clone: clone.id }, reason)
    } catch (error) {
      // Protected, or gone, in the moment before.
      if (!(error instanceof LabError && (error.code === 'CLONE_PROTECTED' || error.code === 'CLONE_NOT_FOUND')))
        throw error
      audit.addOwn({ operation: 'CloneDelete', clone: clone.id }, reason, error.code)
    }
  }
}
