import { setTimeout as delay, setImmediate } from 'node:timers/promises'
import {
  type ActivitySample,
  answers,
  type Instance,
  isProvisionError,
  isSystemError,
  type Provisioner,
  sampleActivity,
  wasUsed,
} from '@dblab/provision'
import type { AuditLog } from '../access/audit-log.ts'
import type { Catalogue } from '../catalogue/catalogue.ts'
import type { CloneRecord } from '../catalogue/clones.ts'
import { LabError } from '../errors.ts'
import type { Logger } from '../log.ts'
import type { CloneService } from './clone-service.ts'
import type { Jobs } from './jobs.ts'
import { keepPort } from './keep-port.ts'
import type { CloneLifecycle } from './lifecycle.ts'
import { Pulses } from './pulses.ts'
import { Questions } from './questions.ts'
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

/** How long a Postgres that runs may take to answer: longer than a machine that is very busy. */
const ANSWER_WITHIN_MS = 20_000
/** Each makes Postgres begin a process, and several at once would keep requests waiting. */
export const BETWEEN_QUESTIONS_MS = 200
/** What did not answer is asked once more, which makes sure that it is not about to end. */
const ASK_AGAIN_AFTER_MS = 1000
const ANSWER_AGAIN_WITHIN_MS = 5000

/** Looks after clones while nobody asks: those that are over, idle, or whose Postgres died; and how large they are. */
export class CloneMonitor {
  readonly #options: MonitorOptions
  /** By volume: after a reset, another Postgres counts from nothing. */
  readonly #samples = new Map<string, ActivitySample>()
  /** Of those that ran at the last look. */
  readonly #pulses = new Pulses()
  readonly #questions = new Questions()
  #seen = -1

  constructor(options: MonitorOptions) {
    this.#options = options
  }

  /** One round over all clones, one after the other: in the background it must not take what creations need. */
  async round(signal?: AbortSignal): Promise<void> {
    const { clones } = this.#options.catalogue
    for (const { id } of clones.list()) {
      if (signal?.aborted) return
      // Read anew: the round takes time, and clones change meanwhile.
      const clone = clones.get(id)
      if (clone) await this.#look(clone, signal)
      // A look is short, and hundreds in one go would keep requests waiting.
      await setImmediate()
    }
    const volumes = new Set(clones.list().map((clone) => clone.volumeId))
    for (const volumeId of this.#samples.keys()) if (!volumes.has(volumeId)) this.#samples.delete(volumeId)
  }

  /**
   * Looks at once at those whose Postgres has ended, of a part of all. Its process is asked for by its pid, which costs next to nothing; should
   * another have taken that since, the next round sees it.
   */
  async pulse(): Promise<void> {
    const { catalogue, provisioner } = this.#options
    for (const [id, pid] of this.#pulses.nextPart()) {
      if (pid !== undefined && processExists(pid)) continue
      this.#pulses.delete(id)
      const clone = catalogue.clones.get(id)
      if (clone) await this.#look(clone)
    }
    const { changes } = catalogue
    if (changes === this.#seen) return
    this.#seen = changes
    for (const clone of catalogue.clones.list()) {
      if (clone.status !== 'OK' || clone.volumeId === null || this.#pulses.has(clone.id)) continue
      const instance = await provisioner.runtime.inspect(clone.volumeId)
      if (instance?.state === 'running') this.#pulses.set(clone.id, instance.pid)
      // It ended before it was seen for the first time.
      else await this.#look(clone)
    }
  }

  /** Asks some of those that run whether they answer, each a while after the one before. Never rejects. */
  async ask(signal: AbortSignal): Promise<void> {
    const { catalogue, provisioner, lifecycle, jobs } = this.#options
    const mayBeAsked = ({ id, status }: CloneRecord) =>
      status === 'OK' && !lifecycle.restarts.isSilent(id) && !jobs.isBusy(id)
    const askOne = async ({ id, volumeId }: CloneRecord) => {
      const instance = volumeId === null ? undefined : await provisioner.runtime.inspect(volumeId)
      // That one does not run is seen by its pulse.
      if (instance?.state === 'running') await this.#answers(id, instance, signal)
    }
    const clones = catalogue.clones.list().filter(mayBeAsked)
    const chosen = new Set(this.#questions.next(clones.map(({ id }) => id)))
    const asked = clones.filter(({ id }) => chosen.has(id))
    await Promise.all(
      asked.map(async (clone, before) => {
        await delay(before * BETWEEN_QUESTIONS_MS, undefined, { signal }).catch(() => undefined)
        if (!signal.aborted) await this.#apart(clone, () => askOne(clone))
      }),
    )
  }

  /** @throws ProvisionError ABORTED */
  async #answers(id: string, instance: Instance, signal: AbortSignal | undefined): Promise<boolean> {
    const { restarts } = this.#options.lifecycle
    const answered = await answers(instance, ANSWER_WITHIN_MS, signal)
    if (answered) restarts.noteAnswer(id)
    else if (await this.#isStillSilent(instance, signal)) restarts.noteSilent(id, instance.pid)
    return answered
  }

  /** A Postgres that ends while it is asked refuses, and its process is there for a moment longer: it is down, which the next look sees. */
  async #isStillSilent({ id, pid }: Instance, signal: AbortSignal | undefined): Promise<boolean> {
    await delay(ASK_AGAIN_AFTER_MS)
    const now = await this.#options.provisioner.runtime.inspect(id)
    return now?.state === 'running' && now.pid === pid && !(await answers(now, ANSWER_AGAIN_WITHIN_MS, signal))
  }

  /** Reads how much each clone holds. */
  async measure(): Promise<void> {
    const { catalogue, lifecycle } = this.#options
    for (const { id } of catalogue.clones.list()) await lifecycle.sizes.measure(id)
  }

  async #look(clone: CloneRecord, signal?: AbortSignal): Promise<void> {
    await this.#apart(clone, async () => {
      const { protected: isProtected, deleteAt } = clone
      if (!isProtected && deleteAt !== null && deleteAt <= new Date().toISOString())
        this.#delete(clone, 'its time is over')
      else if (clone.status === 'OK') await this.#lookAtRunning(clone, signal)
      else if (isUnderWay(clone) && !this.#options.jobs.isBusy(clone.id)) this.#resume(clone)
    })
  }

  /** What is wrong with one clone keeps nobody from looking after the others. */
  async #apart(clone: CloneRecord, work: () => Promise<void>): Promise<void> {
    const { log } = this.#options
    try {
      await work()
    } catch (error) {
      // A clone may go, or be swapped, under a look at it; the next round sees what is true then.
      if (isProvisionError(error)) log.debug('could not look at a clone', { clone: clone.id, error: error.message })
      else log.error('could not look at a clone', { clone: clone.id, error })
    }
  }

  /** A defect ended the job, and could not even be noted: the clone must not wait for ever. */
  #resume(clone: CloneRecord): void {
    const { jobs, lifecycle, log } = this.#options
    log.error('an operation has no job behind it; doing it again', { clone: clone.id, status: clone.status })
    resumeOperation(clone, jobs, lifecycle)
  }

  async #lookAtRunning(clone: CloneRecord, signal: AbortSignal | undefined): Promise<void> {
    const { provisioner, lifecycle, jobs, log } = this.#options
    if (clone.volumeId === null || lifecycle.restarts.isStarting(clone.id) || jobs.isBusy(clone.id)) return
    const instance = await provisioner.runtime.inspect(clone.volumeId)
    const runs = instance?.state === 'running'
    if (!runs || lifecycle.restarts.isDown(clone.id)) {
      if (!lifecycle.restarts.mayRetry(clone.id)) return
      if (!runs) log.warn('a clone is down; starting it again', { clone: clone.id })
      lifecycle.restarts.markStarting(clone.id)
      const restart = (signal: AbortSignal) => lifecycle.restarts.restart(clone.id, signal, { died: true })
      void jobs.add(clone.id, restart, { asker: clone, kind: 'upkeep' })
      return
    }
    this.#pulses.set(clone.id, instance.pid)
    // A reset that has begun since gives it to another.
    if (instance.port !== clone.port && !jobs.isBusy(clone.id)) await keepPort(clone, this.#options)
    // Until it does again.
    if (lifecycle.restarts.isSilent(clone.id) && !(await this.#answers(clone.id, instance, signal))) return
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

function processExists(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch (error) {
    if (isSystemError(error, 'ESRCH')) return false
    if (isSystemError(error, 'EPERM')) return true
    throw error
  }
}
