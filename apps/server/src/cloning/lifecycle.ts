import type { CloneProfile, CloneStepTime } from '@dblab/models'
import {
  type CloneStep,
  failPoint,
  isProvisionError,
  type PortPool,
  type PreparedClone,
  type Provisioner,
} from '@dblab/provision'
import type { Catalogue } from '../catalogue/catalogue.ts'
import type { CloneRecord } from '../catalogue/clones.ts'
import { refOf, type SnapshotRecord } from '../catalogue/snapshots.ts'
import { isOutOfSpace } from '../errors.ts'
import { randomId } from '../ids.ts'
import type { Lull } from '../lab/lull.ts'
import { cloneLabels } from '../labels.ts'
import type { Logger } from '../log.ts'
import { CloneChores } from './chores.ts'
import { databaseAfter } from './databases.ts'
import { explainFailure, firstCause } from './explain.ts'
import { loginOf } from './login.ts'
import { OperationEnds } from './operation-ends.ts'
import { Restarts } from './restarts.ts'
import { CloneSizes } from './sizes.ts'
import { Trace } from './trace.ts'

export interface LifecycleOptions {
  catalogue: Catalogue
  provisioner: Provisioner
  ports: PortPool
  log: Logger
  /** When chores may begin. */
  lull: Lull
  /** Removes what was retired, as far as nothing stands on it, in the background. */
  collectSoon: () => void
  /** Told of each volume that was retired, and how many bytes it was measured to hold alone. */
  retired: (volumeId: string, bytes: number) => void
  /** Until disposed of. @throws LabError when there is too little space for a clone of so many bytes. */
  takeSpace: (cloneBytes: number, signal?: AbortSignal) => Promise<Disposable>
  /** Of the host as it runs now; null where the system has none. */
  bootId: string | null
  /** True when clones of this profile run with `fsync=off`. */
  isUnsafe: (profile: CloneProfile) => boolean
}

export interface CreateOptions {
  /** Known only while the request that brought it is fresh; after a restart of the server it is gone. */
  password?: string | undefined
  /** In the catalogue already, pending; left out: a new one is noted. */
  volumeId?: string | undefined
  /** Begun when it was promised. */
  trace?: Trace | undefined
  signal?: AbortSignal | undefined
}

interface Outcome {
  status: 'OK' | 'FATAL'
  message: string
}

const READY: Outcome = { status: 'OK', message: 'Database is ready' }

/**
 * What a clone goes through. Each operation is a saga: the volume that it will make is in the catalogue before the storage is asked for it,
 * and one transaction at its end says that it is done. Cut off anywhere, it can be done again from its beginning: what it left pending
 * is removed.
 *
 * Callers keep one clone to one operation. An operation's failure is the clone's status, not an exception.
 */
export class CloneLifecycle {
  readonly restarts: Restarts
  readonly sizes: CloneSizes
  readonly chores: CloneChores
  readonly ends = new OperationEnds()
  readonly #options: LifecycleOptions
  readonly #listeners: ((id: string) => void)[] = []
  readonly #changed = (id: string) => {
    for (const listener of this.#listeners) listener(id)
  }

  constructor(options: LifecycleOptions) {
    this.#options = options
    this.sizes = new CloneSizes(options)
    this.chores = new CloneChores(options)
    this.restarts = new Restarts({
      ...options,
      unsafeBootIdOf: (clone) => this.#unsafeBootIdOf(clone),
      changed: this.#changed,
    })
  }

  /** The listener is called whenever a clone's status may have changed. */
  onChange(listener: (id: string) => void): void {
    this.#listeners.push(listener)
  }

  async create(id: string, options: CreateOptions = {}): Promise<void> {
    const { catalogue, provisioner, log } = this.#options
    const clone = this.#read(id, 'CREATING')
    if (!clone) {
      this.#forgetVolume(options.volumeId)
      this.ends.tell({ operation: 'creation', outcome: 'aborted' })
      return
    }
    const snapshot = this.#snapshot(clone.snapshotId)
    const volumeId = options.volumeId ?? randomId()
    const { trace = new Trace('queue') } = options
    try {
      // Others have taken space since it was promised.
      using _space = await this.#options.takeSpace(snapshot.size, options.signal)
      if (options.volumeId === undefined) catalogue.volumes.add(volumeId, 'clone', snapshot.id)
      await failPoint('create.volume-noted')
      await provisioner.createClone(this.#spec(clone, snapshot, volumeId, options.password), {
        signal: options.signal,
        onStep: (step) => {
          trace.begin(step)
          log.debug('creating a clone', { clone: id, step })
        },
      })
      await failPoint('create.done')
      options.signal?.throwIfAborted()
      const seconds = (Date.now() - Date.parse(clone.createdAt)) / 1000
      const steps = trace.steps()
      this.committing(clone, () =>
        this.#settle(id, READY, () => {
          catalogue.volumes.setState(volumeId, 'live')
          if (options.password !== undefined) catalogue.clones.recordCreation(seconds)
          return { volumeId, cloningSeconds: seconds, steps, ...this.madeNow(clone) }
        }),
      )
      log.info('clone is ready', { clone: id, seconds, snapshot: snapshot.id, steps: inWords(steps) })
      const asked = options.password === undefined ? undefined : seconds
      const took = { start: 'cold', profile: clone.profile, seconds: asked, steps } as const
      this.ends.tell({ operation: 'creation', outcome: 'ok', took })
    } catch (error) {
      if (this.#owns(id, volumeId)) throw error
      await this.#drop(volumeId)
      if (options.signal?.aborted) return this.ends.tell({ operation: 'creation', outcome: 'aborted' })
      if (isProvisionError(firstCause(error), 'IN_USE') && (await this.#takeAnotherPort(clone)))
        return this.create(id, { ...options, volumeId: undefined })
      this.#fail(id, 'creation', error)
      return
    }
    await failPoint('create.settled')
    this.chores.add(id)
    void this.sizes.measure(id)
  }

  /**
   * Hands an instance that stands ready to the clone that it will be; nothing of that is in the catalogue yet.
   *
   * @returns false where it does not do, whatever the reason: to make the clone from nothing tells it
   */
  async handOver(
    prepared: PreparedClone,
    clone: Pick<CloneRecord, 'id' | 'dbUsername' | 'dbName' | 'verifier'>,
    password: string,
  ): Promise<boolean> {
    const { provisioner, log } = this.#options
    try {
      await provisioner.handOver(prepared, { ...loginOf(clone), password })
      await failPoint('warm.handed-over')
      return true
    } catch (error) {
      log.warn('an instance that stood ready could not be handed over', { clone: clone.id, error })
      return false
    }
  }

  /** What the catalogue says of a clone that was handed over. */
  readyNow(clone: Pick<CloneRecord, 'profile'>): Partial<CloneRecord> {
    return { ...READY, ...this.madeNow(clone) }
  }

  noteHandedOut(id: string): void {
    this.#options.lull.disturb()
    this.#changed(id)
    this.chores.add(id, { handedOver: true })
    void this.sizes.measure(id)
  }

  async reset(id: string, options: { signal?: AbortSignal | undefined; since?: number } = {}): Promise<void> {
    const { signal } = options
    const { catalogue, provisioner, log, collectSoon } = this.#options
    const clone = this.#read(id, 'RESETTING')
    if (!clone) return this.ends.tell({ operation: 'reset', outcome: 'aborted' })
    const before = this.#snapshot(clone.snapshotId)
    const snapshot = clone.resetTo === null ? before : this.#snapshot(clone.resetTo)
    const dbName = databaseAfter(clone, before, snapshot) ?? clone.dbName
    const { volumeId: old } = clone
    const volumeId = randomId()
    const spec = this.#spec({ ...clone, dbName }, snapshot, volumeId, undefined)
    const started = Date.now()
    const keepOld = !(await this.lostWrites(clone))
    const trace = new Trace('queue', options.since)
    const onStep = (step: CloneStep) => trace.begin(step)
    try {
      using _space = await this.#options.takeSpace(snapshot.size, signal)
      catalogue.volumes.add(volumeId, 'clone', snapshot.id)
      await failPoint('reset.volume-noted')
      // A clone whose creation failed has no volume: to reset it is to create it.
      if (old === null) await provisioner.createClone(spec, { signal, onStep })
      else await provisioner.resetClone(old, spec, { signal, onStep, keepOld })
      await failPoint('reset.done')
      const steps = trace.steps()
      this.committing(clone, () =>
        this.#settle(id, READY, () => {
          catalogue.volumes.setState(volumeId, 'live')
          if (old !== null) catalogue.volumes.setState(old, 'retired')
          // What the old volume held says nothing of the new one, which is measured next.
          return { volumeId, snapshotId: snapshot.id, dbName, size: 0, steps, ...this.madeNow(clone) }
        }),
      )
      const asked = options.since === undefined ? undefined : (performance.now() - options.since) / 1000
      const took = { start: 'cold', profile: clone.profile, seconds: asked, steps } as const
      this.ends.tell({ operation: 'reset', outcome: 'ok', took })
    } catch (error) {
      if (this.#owns(id, volumeId)) throw error
      await this.#drop(volumeId)
      if (signal?.aborted) return this.ends.tell({ operation: 'reset', outcome: 'aborted' })
      if (old === null || !keepOld) this.#fail(id, 'reset', error)
      else await this.#resetFailed(id, old, error)
      return
    }
    if (old !== null) this.#options.retired(old, clone.size)
    await failPoint('reset.settled')
    // Its volume may stand for long, for the sake of its snapshots.
    if (old !== null) await provisioner.runtime.remove(old)
    log.info('clone is reset', { clone: id, seconds: (Date.now() - started) / 1000, snapshot: snapshot.id })
    this.chores.add(id)
    void this.sizes.measure(id)
    collectSoon()
  }

  /** Its Postgres, port and volume go; then the clone itself. What other snapshots stand on is kept, hidden, until they go. */
  async delete(id: string): Promise<void> {
    const { catalogue, provisioner, ports, log, collectSoon } = this.#options
    const clone = this.#read(id, 'DELETING')
    if (!clone) return
    try {
      if (clone.volumeId !== null) await provisioner.runtime.remove(clone.volumeId)
      await failPoint('delete.postgres-removed')
      catalogue.evenIfFull(() =>
        catalogue.transaction(() => {
          if (clone.volumeId !== null) catalogue.volumes.setState(clone.volumeId, 'retired')
          catalogue.clones.delete(id)
        }),
      )
    } catch (error) {
      log.error('deletion failed', { clone: id, error })
      this.ends.tell({ operation: 'deletion', outcome: 'failed' })
      this.declareFatal(id, `Deletion failed. ${explainFailure(error)} Delete it again.`)
      return
    }
    if (clone.volumeId !== null) this.#options.retired(clone.volumeId, clone.size)
    await failPoint('delete.settled')
    this.restarts.forget(id)
    this.sizes.forget(id)
    ports.release(clone.port, id)
    this.#changed(id)
    log.info('clone is deleted', { clone: id })
    this.ends.tell({ operation: 'deletion', outcome: 'ok' })
    collectSoon()
  }

  /** An operation ended in a way that nobody foresaw: the clone must not wait for it for ever. */
  endedInDefect(id: string, error: unknown): void {
    const status = this.#options.catalogue.clones.get(id)?.status
    if (status !== 'CREATING' && status !== 'RESETTING') return
    this.ends.tell({ operation: status === 'CREATING' ? 'creation' : 'reset', outcome: 'failed' })
    const why = isOutOfSpace(error) ? explainFailure(error) : "A defect of the server; the server's log says more."
    this.declareFatal(id, `The operation was cut off. ${why} Reset the clone, or delete it.`)
  }

  /** The clone can't be used; the message says why and what to do. */
  declareFatal(id: string, message: string): void {
    this.restarts.forget(id)
    const { catalogue } = this.#options
    catalogue.evenIfFull(() => catalogue.clones.update(id, { status: 'FATAL', message, resetTo: null }))
    this.#changed(id)
  }

  /** With `fsync=off`, what a clean shutdown did not write out is gone with the kernel that held it. */
  async lostWrites({ unsafeBootId, volumeId }: CloneRecord): Promise<boolean> {
    const { bootId, provisioner } = this.#options
    if (volumeId === null || unsafeBootId === null || unsafeBootId === bootId) return false
    try {
      return !(await provisioner.isShutDownCleanly(volumeId))
    } catch (error) {
      // Of a volume that is gone, all is lost; and what can't be read can't be trusted.
      if (isProvisionError(error, 'NOT_FOUND', 'FAILED')) return true
      throw error
    }
  }

  #read(id: string, status: CloneRecord['status']): CloneRecord | undefined {
    const clone = this.#options.catalogue.clones.get(id)
    return clone?.status === status ? clone : undefined
  }

  #snapshot(id: string): SnapshotRecord {
    const snapshot = this.#options.catalogue.snapshots.get(id)
    // A snapshot is not deleted while a clone names it.
    if (!snapshot) throw new Error(`snapshot ${id} is not in the catalogue`)
    return snapshot
  }

  #spec(clone: CloneRecord, snapshot: SnapshotRecord, volumeId: string, password: string | undefined) {
    const labels = cloneLabels(clone, snapshot, { state: 'pending', createdAt: new Date().toISOString() })
    const { port, profile } = clone
    return { volumeId, from: refOf(snapshot), port, login: { ...loginOf(clone), password }, profile, labels }
  }

  /**
   * Commits that a clone is ready. Where a power cut loses the clone itself, nobody has to wait until the disk has that: what the catalogue said
   * before will do, which is that it was never made, or is being made.
   */
  committing<T>({ profile }: Pick<CloneRecord, 'profile'>, commit: () => T): T {
    const { catalogue, isUnsafe, log } = this.#options
    if (!isUnsafe(profile)) return commit()
    const result = catalogue.aside(commit)
    catalogue.flushed().catch((error: unknown) => log.error('the catalogue could not be taken to disk', { error }))
    return result
  }

  /** What is true of a clone whose Postgres was started on new data. */
  madeNow(clone: Pick<CloneRecord, 'profile'>): Pick<CloneRecord, 'unsafeBootId' | 'lastUsedAt'> {
    return { unsafeBootId: this.#unsafeBootIdOf(clone), lastUsedAt: new Date().toISOString() }
  }

  #unsafeBootIdOf({ profile }: Pick<CloneRecord, 'profile'>): string | null {
    return this.#options.isUnsafe(profile) ? this.#options.bootId : null
  }

  /** Somebody took the port between its lending and the start. Nobody has used it yet, so any other will do. */
  async #takeAnotherPort({ id, port }: CloneRecord): Promise<boolean> {
    const { catalogue, ports, log } = this.#options
    try {
      const another = await ports.lend({ owner: id })
      catalogue.clones.update(id, { port: another })
      ports.release(port, id)
      log.warn('the port was taken; the clone gets another', { clone: id, port, another })
      return true
    } catch (error) {
      if (!isProvisionError(error, 'UNAVAILABLE')) throw error
      return false
    }
  }

  /**
   * The saga's last step. A clone that was asked to be deleted meanwhile stays DELETING, since its deletion waits behind, but owns what
   * was made.
   */
  #settle(id: string, outcome: Outcome, commit: () => Partial<CloneRecord> = () => ({})): void {
    const { catalogue } = this.#options
    catalogue.evenIfFull(() =>
      catalogue.transaction(() => {
        const changes = commit()
        const deleting = this.#read(id, 'DELETING') !== undefined
        catalogue.clones.update(id, { ...changes, resetTo: null, ...(deleting ? {} : outcome) })
      }),
    )
    this.restarts.forget(id)
    this.#options.lull.disturb()
    this.#changed(id)
  }

  /** True once the catalogue says that this volume is the clone's: from then on it is no failed operation's to undo. */
  #owns(id: string, volumeId: string): boolean {
    return this.#options.catalogue.clones.get(id)?.volumeId === volumeId
  }

  /** Noted for a clone that was asked to be deleted before anything was made. */
  #forgetVolume(volumeId: string | undefined): void {
    if (volumeId === undefined) return
    this.#options.catalogue.evenIfFull(() => this.#options.catalogue.volumes.delete(volumeId))
  }

  /** The provisioner has undone what it did; this is for what it could not, and for the catalogue. */
  async #drop(volumeId: string): Promise<void> {
    const { catalogue, provisioner, log } = this.#options
    try {
      await provisioner.destroyVolume(volumeId)
      catalogue.evenIfFull(() => catalogue.volumes.delete(volumeId))
    } catch (error) {
      // It stays in the catalogue, retired, so that the next collection tries again.
      catalogue.evenIfFull(() => catalogue.volumes.setState(volumeId, 'retired'))
      if (!isProvisionError(error)) throw error
      log.warn('a volume could not be removed yet', { volume: volumeId, error })
    }
  }

  /** The data from before is whole. Where its Postgres did not come up again either, that is tried again. */
  async #resetFailed(id: string, old: string, error: unknown): Promise<void> {
    const { provisioner, log } = this.#options
    const runs = (await provisioner.runtime.inspect(old))?.state === 'running'
    log.error('reset failed; the clone still has its data', { clone: id, runs, error })
    const message = `Database is ready, with the data from before: the reset failed. ${explainFailure(error)}`
    this.#settle(id, { status: 'OK', message }, () => ({ resetFailedAt: new Date().toISOString() }))
    this.ends.tell({ operation: 'reset', outcome: 'failed' })
    if (!runs) this.restarts.noteDown(id, error)
  }

  #fail(id: string, what: 'creation' | 'reset', error: unknown): void {
    this.#options.log.error(`${what} failed`, { clone: id, error })
    const first = what === 'creation' ? 'Creation failed.' : 'Reset failed.'
    this.#settle(id, { status: 'FATAL', message: `${first} ${explainFailure(error)} Reset the clone, or delete it.` })
    this.ends.tell({ operation: what, outcome: 'failed' })
  }
}

function inWords(steps: readonly CloneStepTime[]): string {
  return steps.map(({ name, seconds }) => `${name} ${Math.round(seconds * 1000)} ms`).join(', ')
}
