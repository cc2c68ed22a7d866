import { isProvisionError, type PortPool, type Provisioner } from '@dblab/provision'
import type { Catalogue } from '../catalogue/catalogue.ts'
import type { CloneRecord } from '../catalogue/clones.ts'
import { refOf, type SnapshotRecord } from '../catalogue/snapshots.ts'
import { randomId } from '../ids.ts'
import type { Logger } from '../log.ts'
import { explainFailure, firstCause } from './explain.ts'

export interface LifecycleOptions {
  catalogue: Catalogue
  provisioner: Provisioner
  ports: PortPool
  log: Logger
  /** Removes what was retired, as far as nothing stands on it. */
  collectGarbage: () => Promise<void>
  /** The host's boot id when clones run with `fsync=off`, else null. */
  unsafeBootId: string | null
}

export interface CreateOptions {
  /** Known only while the request that brought it is fresh; after a restart of the server it is gone. */
  password?: string | undefined
  signal?: AbortSignal | undefined
}

/**
 * What a clone goes through. Each operation is a saga: the volume that it will make is in the catalogue before the storage is asked for it,
 * and one transaction at its end says that it is done. Cut off anywhere, it can be done again from its beginning: `reconcile` removes the
 * volume that was left pending.
 *
 * Callers keep one clone to one operation. An operation's failure is the clone's status, not an exception.
 */
export class CloneLifecycle {
  readonly #options: LifecycleOptions
  readonly #starting = new Set<string>()
  /** Clones whose Postgres could not be started, though their data is there. */
  readonly #down = new Map<string, { message: string; attempts: number; retryAt: number }>()
  #changed: (id: string) => void = () => {}

  constructor(options: LifecycleOptions) {
    this.#options = options
  }

  /** One listener, called whenever a clone's status may have changed. */
  onChange(listener: (id: string) => void): void {
    this.#changed = listener
  }

  /** True while the clone's Postgres is about to be started again with the data it had. */
  isStarting(id: string): boolean {
    return this.#starting.has(id)
  }

  /** Why the clone's Postgres could not be started the last time; undefined when it could. */
  whyDown(id: string): string | undefined {
    return this.#down.get(id)?.message
  }

  /** True when a start that failed should be tried again by now. */
  mayRetry(id: string): boolean {
    return (this.#down.get(id)?.retryAt ?? 0) <= Date.now()
  }

  /** To be said when a `restart` is scheduled, so that nobody takes the clone for ready before. */
  markStarting(id: string): void {
    this.#starting.add(id)
    this.#changed(id)
  }

  /** An operation ended in a way that nobody foresaw: the clone must not wait for it for ever. */
  endedInDefect(id: string): void {
    const status = this.#options.catalogue.clones.get(id)?.status
    if (status === undefined || status === 'OK' || status === 'FATAL') return
    this.declareFatal(
      id,
      'A defect of the server ended the operation; its log says more. Reset the clone, or delete it.',
    )
  }

  async create(id: string, options: CreateOptions = {}): Promise<void> {
    const { catalogue, provisioner, log } = this.#options
    const clone = this.#read(id, 'CREATING')
    if (!clone) return
    const snapshot = this.#snapshot(clone.snapshotId)
    const volumeId = this.#addVolume()
    try {
      await provisioner.createClone(this.#spec(clone, snapshot, volumeId, options.password), {
        signal: options.signal,
        onStep: (step) => log.debug('creating a clone', { clone: id, step }),
      })
      options.signal?.throwIfAborted()
    } catch (error) {
      await this.#drop(volumeId)
      if (options.signal?.aborted) return
      if (isProvisionError(firstCause(error), 'IN_USE') && (await this.#takeAnotherPort(clone)))
        return this.create(id, options)
      this.#fail(id, 'creation', error)
      return
    }
    const seconds = (Date.now() - Date.parse(clone.createdAt)) / 1000
    this.#finish(id, () => {
      catalogue.volumes.setState(volumeId, 'live')
      if (options.password !== undefined) catalogue.clones.recordCreation(seconds)
      return { volumeId, cloningSeconds: seconds }
    })
    log.info('clone is ready', { clone: id, seconds, snapshot: snapshot.id })
    await this.measure(id)
  }

  async reset(id: string, options: CreateOptions = {}): Promise<void> {
    const { catalogue, provisioner, log } = this.#options
    const clone = this.#read(id, 'RESETTING')
    if (!clone) return
    const snapshot = this.#snapshot(clone.resetTo ?? clone.snapshotId)
    const old = clone.volumeId
    const volumeId = this.#addVolume()
    const spec = this.#spec(clone, snapshot, volumeId, undefined)
    const started = Date.now()
    try {
      // A clone whose creation failed has no volume: to reset it is to create it.
      await (old === null ? provisioner.createClone(spec, options) : provisioner.resetClone(old, spec, options))
    } catch (error) {
      await this.#drop(volumeId)
      if (options.signal?.aborted) return
      await this.#resetFailed(clone, error)
      return
    }
    this.#finish(id, () => {
      catalogue.volumes.setState(volumeId, 'live')
      if (old !== null) catalogue.volumes.setState(old, 'retired')
      return { volumeId, snapshotId: snapshot.id, resetTo: null }
    })
    log.info('clone is reset', { clone: id, seconds: (Date.now() - started) / 1000, snapshot: snapshot.id })
    await this.measure(id)
    await this.#options.collectGarbage()
  }

  /** Its Postgres, port and volume go; then the clone itself. What other snapshots stand on is kept, hidden, until they go. */
  async delete(id: string): Promise<void> {
    const { catalogue, provisioner, ports, log, collectGarbage } = this.#options
    const clone = this.#read(id, 'DELETING')
    if (!clone) return
    try {
      if (clone.volumeId !== null) await provisioner.runtime.remove(clone.volumeId)
    } catch (error) {
      this.#fail(id, 'deletion', error)
      return
    }
    catalogue.transaction(() => {
      if (clone.volumeId !== null) catalogue.volumes.setState(clone.volumeId, 'retired')
      catalogue.clones.delete(id)
    })
    this.#down.delete(id)
    ports.release(clone.port, id)
    this.#changed(id)
    log.info('clone is deleted', { clone: id })
    await collectGarbage()
  }

  /** Starts its Postgres again where it is not running: after a reboot of the host, a stop of the lab, or a crash. */
  async restart(id: string): Promise<void> {
    const { catalogue, provisioner, log, unsafeBootId } = this.#options
    const clone = this.#read(id, 'OK')
    try {
      if (!clone || clone.volumeId === null) return
      this.markStarting(id)
      const instance = await provisioner.runtime.inspect(clone.volumeId)
      if (instance?.state === 'running') return
      await provisioner.startClone({ volumeId: clone.volumeId, port: clone.port, login: loginOf(clone) })
      catalogue.clones.update(id, { unsafeBootId })
      this.#down.delete(id)
      log.info('clone runs again', { clone: id })
    } catch (error) {
      this.#noteDown(id, error)
    } finally {
      this.#starting.delete(id)
      this.#changed(id)
    }
  }

  /** Its data is intact, so it is not given up: the next look, later each time, or the next start of the server tries again. */
  #noteDown(id: string, error: unknown): void {
    const attempts = (this.#down.get(id)?.attempts ?? 0) + 1
    const pauseMs = Math.min(FIRST_RETRY_MS * 2 ** (attempts - 1), LAST_RETRY_MS)
    this.#options.log.error('start failed; it will be tried again', { clone: id, attempts, error })
    const message = `It could not be started, and will be tried again; its data is as it was. ${explainFailure(error)} To give the data up, reset the clone.`
    this.#down.set(id, { message, attempts, retryAt: Date.now() + pauseMs })
  }

  /** Reads how much the clone holds. */
  async measure(id: string): Promise<void> {
    const { catalogue, provisioner, log } = this.#options
    const before = catalogue.clones.get(id)
    if (!before || before.volumeId === null) return
    try {
      const { ownBytes } = await provisioner.storage.volumeUsage(before.volumeId)
      const now = catalogue.clones.get(id)
      if (now?.volumeId === before.volumeId && now.size !== ownBytes) catalogue.clones.update(id, { size: ownBytes })
    } catch (error) {
      // A clone may go, or be swapped, while it is measured.
      if (!isProvisionError(error)) throw error
      log.debug('could not measure a clone', { clone: id, error: error.message })
    }
  }

  /** The clone can't be used; the message says why and what to do. */
  declareFatal(id: string, message: string): void {
    this.#down.delete(id)
    this.#options.catalogue.clones.update(id, { status: 'FATAL', message, resetTo: null })
    this.#changed(id)
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
    const labels = { role: 'clone', clone: clone.id, database: snapshot.database, 'data-state-at': snapshot.timestamp }
    return { volumeId, from: refOf(snapshot), port: clone.port, login: { ...loginOf(clone), password }, labels }
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

  #addVolume(): string {
    const volumeId = randomId()
    this.#options.catalogue.volumes.add(volumeId, 'clone')
    return volumeId
  }

  /** The saga's last step. A clone that was asked to be deleted meanwhile stays DELETING, but owns what was made. */
  #finish(id: string, commit: () => Partial<CloneRecord>): void {
    const { catalogue, unsafeBootId } = this.#options
    catalogue.transaction(() => {
      const changes = commit()
      const deleting = catalogue.clones.get(id)?.status === 'DELETING'
      const status = deleting ? {} : { status: 'OK' as const, message: 'Database is ready' }
      catalogue.clones.update(id, { ...changes, ...status, unsafeBootId, lastUsedAt: new Date().toISOString() })
    })
    this.#down.delete(id)
    this.#changed(id)
  }

  /** The provisioner has undone what it did; this is for what it could not, and for the catalogue. */
  async #drop(volumeId: string): Promise<void> {
    const { catalogue, provisioner, log } = this.#options
    try {
      await provisioner.destroyVolume(volumeId)
      catalogue.volumes.delete(volumeId)
    } catch (error) {
      if (!isProvisionError(error)) throw error
      // It stays in the catalogue, retired, so that the next collection tries again.
      log.warn('a volume could not be removed yet', { volume: volumeId, error: error.message })
      catalogue.volumes.setState(volumeId, 'retired')
    }
  }

  async #resetFailed(clone: CloneRecord, error: unknown): Promise<void> {
    const { catalogue, provisioner, log } = this.#options
    const running = clone.volumeId !== null && (await provisioner.runtime.inspect(clone.volumeId))?.state === 'running'
    if (!running) {
      this.#fail(clone.id, 'reset', error)
      return
    }
    log.error('reset failed; the clone still has its data', { clone: clone.id, error })
    const message = `Database is ready, with the data from before: the reset failed. ${explainFailure(error)}`
    catalogue.clones.update(clone.id, { status: 'OK', message, resetTo: null })
    this.#changed(clone.id)
  }

  #fail(id: string, what: string, error: unknown): void {
    const clone = this.#options.catalogue.clones.get(id)
    this.#options.log.error(`${what} failed`, { clone: id, error })
    // A deletion waits behind this operation; it needs no status of ours.
    if (clone?.status === 'DELETING' && what !== 'deletion') return
    const first = `${what.charAt(0).toUpperCase()}${what.slice(1)} failed.`
    this.declareFatal(id, `${first} ${explainFailure(error)} Reset the clone, or delete it.`)
  }
}

/** Doubles after each attempt. */
const FIRST_RETRY_MS = 5000
const LAST_RETRY_MS = 5 * 60_000

function loginOf(clone: CloneRecord) {
  return { username: clone.dbUsername, database: clone.dbName, verifier: clone.verifier }
}
