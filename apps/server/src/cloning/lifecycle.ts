import type { CloneStepTime } from '@dblab/models'
import { failPoint, isProvisionError, type PortPool, type PreparedClone } from '@dblab/provision'
import type { CloneRecord } from '../catalogue/clones.ts'
import { isOutOfSpace } from '../errors.ts'
import { randomId } from '../ids.ts'
import { CloneBooks, type CloneBooksOptions, READY } from './books.ts'
import { CloneChores } from './chores.ts'
import { explainFailure, firstCause } from './explain.ts'
import { keepPort } from './keep-port.ts'
import { loginOf } from './login.ts'
import { CloneResets, type ResetOptions } from './resets.ts'
import type { Restarts } from './restarts.ts'
import { CloneSizes } from './sizes.ts'
import { Trace } from './trace.ts'
import type { WarmPool } from './warm/warm-pool.ts'

export interface LifecycleOptions extends CloneBooksOptions {
  ports: PortPool
  /** Removes what was retired, as far as nothing stands on it, in the background. */
  collectSoon: () => void
  /** Told of each volume that was retired, and how many bytes it was measured to hold alone. */
  retired: (volumeId: string, bytes: number) => void
  /** Until disposed of. @throws LabError when there is too little space for a clone of so many bytes. */
  takeSpace: (cloneBytes: number, signal?: AbortSignal) => Promise<Disposable>
  /** Instances that stand ready, once there is a pool of them; left out for none. */
  warm?: (() => WarmPool) | undefined
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

/**
 * What a clone goes through. Each operation is a saga: the volume that it will make is in the catalogue before the storage is asked for it,
 * and one transaction at its end says that it is done. Cut off anywhere, it can be done again from its beginning: what it left pending
 * is removed.
 *
 * Callers keep one clone to one operation. An operation's failure is the clone's status, not an exception.
 */
export class CloneLifecycle {
  readonly books: CloneBooks
  readonly sizes: CloneSizes
  readonly chores: CloneChores
  readonly #options: LifecycleOptions
  readonly #resets: CloneResets

  constructor(options: LifecycleOptions) {
    this.#options = options
    this.books = new CloneBooks(options)
    this.sizes = new CloneSizes(options)
    this.chores = new CloneChores(options)
    const { books, sizes, chores } = this
    this.#resets = new CloneResets({ ...options, books, sizes, chores })
  }

  get restarts(): Restarts {
    return this.books.restarts
  }

  async create(id: string, options: CreateOptions = {}): Promise<void> {
    const { books } = this
    const { catalogue, provisioner, log } = this.#options
    const clone = books.read(id, 'CREATING')
    if (!clone) {
      books.forgetVolume(options.volumeId)
      books.ends.tell({ operation: 'creation', outcome: 'aborted' })
      return
    }
    const snapshot = books.snapshot(clone.snapshotId)
    const volumeId = options.volumeId ?? randomId()
    const { trace = new Trace('queue') } = options
    try {
      // Others have taken space since it was promised.
      using _space = await this.#options.takeSpace(snapshot.size, options.signal)
      if (options.volumeId === undefined) catalogue.volumes.add(volumeId, 'clone', snapshot.id)
      await failPoint('create.volume-noted')
      await provisioner.createClone(books.spec(clone, snapshot, volumeId, options.password), {
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
      books.committing(clone, () =>
        books.settle(id, READY, () => {
          catalogue.volumes.setState(volumeId, 'live')
          if (options.password !== undefined) catalogue.clones.recordCreation(seconds)
          return { volumeId, cloningSeconds: seconds, steps, ...books.madeNow(clone) }
        }),
      )
      log.info('clone is ready', { clone: id, seconds, snapshot: snapshot.id, steps: inWords(steps) })
      const asked = options.password === undefined ? undefined : seconds
      const took = { start: 'cold', profile: clone.profile, seconds: asked, steps } as const
      books.ends.tell({ operation: 'creation', outcome: 'ok', took })
    } catch (error) {
      if (books.owns(id, volumeId)) throw error
      await books.drop(volumeId)
      if (options.signal?.aborted) return books.ends.tell({ operation: 'creation', outcome: 'aborted' })
      if (isProvisionError(firstCause(error), 'IN_USE') && (await this.#takeAnotherPort(clone)))
        return this.create(id, { ...options, volumeId: undefined })
      books.fail(id, 'creation', error)
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
    return { ...READY, ...this.books.madeNow(clone) }
  }

  noteHandedOut(id: string): void {
    const { books } = this
    this.#options.lull.disturb()
    books.changed(id)
    this.chores.add(id, { handedOver: true })
    void this.sizes.measure(id)
  }

  async reset(id: string, options: ResetOptions = {}): Promise<void> {
    await this.#resets.reset(id, options)
  }

  /** Its Postgres, port and volume go; then the clone itself. What other snapshots stand on is kept, hidden, until they go. */
  async delete(id: string): Promise<void> {
    const { books } = this
    const { catalogue, provisioner, ports, log, collectSoon } = this.#options
    const clone = books.read(id, 'DELETING')
    if (!clone) return
    try {
      await books.replaced.gone(id)
      if (clone.volumeId !== null) await provisioner.runtime.remove(clone.volumeId)
      // Else it would be held, and never lent again.
      await keepPort(clone, this.#options)
      await failPoint('delete.postgres-removed')
      catalogue.evenIfFull(() =>
        catalogue.transaction(() => {
          if (clone.volumeId !== null) catalogue.volumes.setState(clone.volumeId, 'retired')
          catalogue.clones.delete(id)
        }),
      )
    } catch (error) {
      log.error('deletion failed', { clone: id, error })
      books.ends.tell({ operation: 'deletion', outcome: 'failed' })
      books.declareFatal(id, `Deletion failed. ${explainFailure(error)} Delete it again.`)
      return
    }
    if (clone.volumeId !== null) this.#options.retired(clone.volumeId, clone.size)
    await failPoint('delete.settled')
    books.restarts.forget(id)
    this.sizes.forget(id)
    ports.release(clone.port, id)
    books.changed(id)
    log.info('clone is deleted', { clone: id })
    books.ends.tell({ operation: 'deletion', outcome: 'ok' })
    collectSoon()
  }

  /** An operation ended in a way that nobody foresaw: the clone must not wait for it for ever. */
  endedInDefect(id: string, error: unknown): void {
    const { books } = this
    const status = this.#options.catalogue.clones.get(id)?.status
    if (status !== 'CREATING' && status !== 'RESETTING') return
    books.ends.tell({ operation: status === 'CREATING' ? 'creation' : 'reset', outcome: 'failed' })
    const why = isOutOfSpace(error) ? explainFailure(error) : "A defect of the server; the server's log says more."
    books.declareFatal(id, `The operation was cut off. ${why} Reset the clone, or delete it.`)
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
}

function inWords(steps: readonly CloneStepTime[]): string {
  return steps.map(({ name, seconds }) => `${name} ${Math.round(seconds * 1000)} ms`).join(', ')
}
