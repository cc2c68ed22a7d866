import { type CloneStep, failPoint, isProvisionError, type PortPool, type Provisioner } from '@dblab/provision'
import type { Catalogue } from '../catalogue/catalogue.ts'
import type { CloneRecord } from '../catalogue/clones.ts'
import type { SnapshotRecord } from '../catalogue/snapshots.ts'
import { randomId } from '../ids.ts'
import type { Logger } from '../log.ts'
import { type CloneBooks, READY } from './books.ts'
import type { CloneChores } from './chores.ts'
import { databaseAfter } from './databases.ts'
import { explainFailure, firstCause } from './explain.ts'
import { keepPort } from './keep-port.ts'
import { loginOf } from './login.ts'
import type { CloneSizes } from './sizes.ts'
import { Trace } from './trace.ts'
import type { WarmInstance, WarmPool } from './warm/warm-pool.ts'

export interface CloneResetsOptions {
  catalogue: Catalogue
  provisioner: Provisioner
  ports: PortPool
  log: Logger
  books: CloneBooks
  sizes: CloneSizes
  chores: CloneChores
  collectSoon: () => void
  retired: (volumeId: string, bytes: number) => void
  takeSpace: (cloneBytes: number, signal?: AbortSignal) => Promise<Disposable>
  warm?: (() => WarmPool) | undefined
}

export interface ResetOptions {
  signal?: AbortSignal | undefined
  /** When it was asked for, of `performance.now()`; left out where the server was started again since. */
  since?: number | undefined
}

type Steps = CloneRecord['steps']

/** A reset under way. */
interface Reset {
  /** With the database that its address will name. */
  clone: CloneRecord
  snapshot: SnapshotRecord
  trace: Trace
  signal: AbortSignal | undefined
}

/** Gives clones the data of a snapshot again, at the same address with the same login. */
export class CloneResets {
  readonly #options: CloneResetsOptions
  #toldWhyCold = false

  constructor(options: CloneResetsOptions) {
    this.#options = options
  }

  /** See `CloneLifecycle`. */
  async reset(id: string, { signal, since }: ResetOptions): Promise<void> {
    const { books, log, collectSoon, chores, sizes, retired } = this.#options
    const clone = books.read(id, 'RESETTING')
    if (!clone) return books.ends.tell({ operation: 'reset', outcome: 'aborted' })
    const before = books.snapshot(clone.snapshotId)
    const snapshot = clone.resetTo === null ? before : books.snapshot(clone.resetTo)
    const dbName = databaseAfter(clone, before, snapshot) ?? clone.dbName
    const started = Date.now()
    const trace = new Trace('queue', since)
    const reset = { clone: { ...clone, dbName }, snapshot, trace, signal }
    const warm = await this.#toPrepared(reset)
    const steps = warm ?? (await this.#makeAnew(reset))
    if (!steps) return
    const start = warm ? 'warm' : 'cold'
    const seconds = since === undefined ? undefined : (performance.now() - since) / 1000
    books.ends.tell({ operation: 'reset', outcome: 'ok', took: { start, profile: clone.profile, seconds, steps } })
    const { volumeId: old } = clone
    if (old !== null) retired(old, clone.size)
    await failPoint('reset.settled')
    if (old !== null) books.replaced.add(id, old, collectSoon)
    log.info('clone is reset', { clone: id, start, seconds: (Date.now() - started) / 1000, snapshot: snapshot.id })
    chores.add(id, { handedOver: start === 'warm' })
    void sizes.measure(id)
  }

  /** @returns its steps; undefined where no instance stands ready for it, or it would not do: nothing has changed then */
  async #toPrepared(reset: Reset): Promise<Steps | undefined> {
    const { clone, snapshot, trace, signal } = reset
    const { books, catalogue, provisioner, log } = this.#options
    const standing = await this.#takeWarm(clone, snapshot)
    if (!standing) return undefined
    const { pool, warm } = standing
    const { volumeId } = warm.prepared
    let isSettled = false
    try {
      trace.begin('handover')
      await provisioner.resetToPrepared(clone.volumeId, warm.prepared, loginOf(clone), clone.port, { signal })
      await failPoint('warm.handed-over')
      signal?.throwIfAborted()
      const steps = await this.#settle(reset, volumeId, () => catalogue.volumes.setRole(volumeId, 'clone'))
      isSettled = true
      pool.note('hit')
      pool.releasePort(warm)
      return steps
    } catch (error) {
      isSettled = books.owns(clone.id, volumeId)
      if (isSettled) throw error
      if (!signal?.aborted)
        log.warn('an instance that stood ready could not take the place of another', { clone: clone.id, error })
      return undefined
    } finally {
      if (!isSettled) {
        await this.#keepOld(clone)
        await pool.discard(warm)
      }
    }
  }

  /** @returns its steps; undefined where it has failed, which the clone's status tells, or was given up */
  async #makeAnew(reset: Reset, { beside = true } = {}): Promise<Steps | undefined> {
    const { clone, snapshot, trace, signal } = reset
    const { books, catalogue, provisioner, takeSpace } = this.#options
    const { id, volumeId: old } = clone
    const volumeId = randomId()
    const spec = books.spec(clone, snapshot, volumeId, undefined)
    const keepOld = !(await books.lostWrites(clone))
    // Beside the old one where that can be; else the old one ends first, since both want the port.
    const own = beside ? await this.#lend(clone, volumeId) : undefined
    const onStep = (step: CloneStep) => trace.begin(step)
    try {
      signal?.throwIfAborted()
      using _space = await takeSpace(snapshot.size, signal)
      catalogue.volumes.add(volumeId, 'clone', snapshot.id)
      await failPoint('reset.volume-noted')
      // A clone whose creation failed has no volume: to reset it is to create it.
      if (!own) await books.replaced.gone(id)
      if (old === null) await provisioner.createClone(spec, { signal, onStep })
      else if (own) await provisioner.resetBeside(old, { ...spec, port: own.port }, clone.port, { signal, onStep })
      else await provisioner.resetClone(old, spec, { signal, onStep, keepOld })
      await failPoint('reset.done')
      return await this.#settle(reset, volumeId, () => catalogue.volumes.setState(volumeId, 'live'))
    } catch (error) {
      if (books.owns(id, volumeId)) throw error
      await this.#keepOld(clone)
      await books.drop(volumeId)
      // The port is another's, or the kernel will not have it: as where nothing is made beside anything.
      if (own && !signal?.aborted && (isProvisionError(firstCause(error), 'IN_USE') || !(await this.#canSteer())))
        return await this.#makeAnew(reset, { beside: false })
      if (signal?.aborted) books.ends.tell({ operation: 'reset', outcome: 'aborted' })
      else if (old === null || !keepOld) books.fail(id, 'reset', error)
      else await this.#failed(id, old, error)
      return undefined
    } finally {
      own?.[Symbol.dispose]()
    }
  }

  /** A port for the new server, until it is bound to it; undefined where it can't be given the clone's. */
  async #lend(
    { id, volumeId: old }: CloneRecord,
    volumeId: string,
  ): Promise<(Disposable & { port: number }) | undefined> {
    const { ports, log } = this.#options
    if (old === null || !(await this.#canSteer())) return undefined
    const owner = `reset ${volumeId}`
    try {
      const port = await ports.lend({ owner })
      return { port, [Symbol.dispose]: () => ports.release(port, owner) }
    } catch (error) {
      log.warn('there is no port for a server beside the old one, which ends first', { clone: id, error })
      return undefined
    }
  }

  /** One that stands ready for this clone, where it can be given the clone's port. */
  async #takeWarm(
    { volumeId: old, profile }: CloneRecord,
    snapshot: SnapshotRecord,
  ): Promise<{ pool: WarmPool; warm: WarmInstance } | undefined> {
    const pool = this.#options.warm?.()
    if (!pool?.isOn || old === null || !(await this.#canSteer())) return undefined
    const warm = pool.take(snapshot.id, profile)
    if (!warm) pool.note('miss')
    return warm && { pool, warm }
  }

  async #canSteer(): Promise<boolean> {
    const { provisioner, log } = this.#options
    try {
      await provisioner.ports.check()
      return true
    } catch (error) {
      if (!isProvisionError(error, 'UNAVAILABLE')) throw error
      if (!this.#toldWhyCold) log.info('resets end the old server first', { error: error.message })
      this.#toldWhyCold = true
      return false
    }
  }

  /**
   * The clone has the new data once the catalogue says so. Nobody is answered of the old by now, which stands still: else a session that was opened
   * before the reset would go on as if there had been none.
   *
   * @param note what the catalogue says of the new volume
   */
  async #settle({ clone, snapshot, trace }: Reset, volumeId: string, note: () => void): Promise<Steps> {
    const { books } = this.#options
    await failPoint('reset.halted')
    const steps = trace.steps()
    books.committing(clone, () =>
      books.settle(clone.id, READY, () => {
        note()
        return this.#moved(clone, snapshot, volumeId, steps)
      }),
    )
    return steps
  }

  /** The server from before goes on, at its port. */
  async #keepOld(clone: CloneRecord): Promise<void> {
    const { provisioner, log } = this.#options
    try {
      if (clone.volumeId !== null) await provisioner.runtime.resume(clone.volumeId)
    } catch (error) {
      // What the reset has made is to be removed all the same.
      log.error('the server from before a reset may stand still', { clone: clone.id, error })
    }
    await keepPort(clone, this.#options)
  }

  /** What the catalogue says of a clone that has other data now. */
  #moved(clone: CloneRecord, snapshot: SnapshotRecord, volumeId: string, steps: Steps): Partial<CloneRecord> {
    const { books, catalogue } = this.#options
    const { volumeId: old, dbName } = clone
    if (old !== null) catalogue.volumes.setState(old, 'retired')
    // What the old volume held says nothing of the new one, which is measured next.
    return { volumeId, snapshotId: snapshot.id, dbName, size: 0, steps, ...books.madeNow(clone) }
  }

  /** The data from before is whole. Where its Postgres did not come up again either, that is tried again. */
  async #failed(id: string, old: string, error: unknown): Promise<void> {
    const { books, provisioner, log } = this.#options
    const runs = (await provisioner.runtime.inspect(old))?.state === 'running'
    log.error('reset failed; the clone still has its data', { clone: id, runs, error })
    const message = `Database is ready, with the data from before: the reset failed. ${explainFailure(error)}`
    books.settle(id, { status: 'OK', message }, () => ({ resetFailedAt: new Date().toISOString() }))
    books.ends.tell({ operation: 'reset', outcome: 'failed' })
    if (!runs) books.restarts.noteDown(id, error)
  }
}
