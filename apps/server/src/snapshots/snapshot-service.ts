import type { CreateSnapshotRequest, Snapshot, UpdateSnapshotRequest } from '@dblab/models'
import { failPoint, isProvisionError, type Provisioner } from '@dblab/provision'
import type { Catalogue } from '../catalogue/catalogue.ts'
import type { CloneRecord } from '../catalogue/clones.ts'
import { refOf, type SnapshotRecord } from '../catalogue/snapshots.ts'
import { explainSpace, firstCause } from '../cloning/explain.ts'
import type { Jobs } from '../cloning/jobs.ts'
import { isOutOfSpace, LabError } from '../errors.ts'
import { randomId, timedId } from '../ids.ts'
import { snapshotLabels } from '../labels.ts'
import type { Logger } from '../log.ts'
import { parseTime } from '../time.ts'
import { snapshotNotFound } from './choose.ts'

export interface SnapshotServiceOptions {
  catalogue: Catalogue
  provisioner: Provisioner
  jobs: Jobs
  log: Logger
  /** Resolves once no other server of the clone's is bound to its port. */
  freePort: (cloneId: string) => Promise<void>
  collectGarbage: () => Promise<void>
  /** @throws LabError when the catalogue is lost. */
  requireWritable: () => void
  /** @throws LabError when there is too little space. */
  requireSpace: () => Promise<void>
}

interface CloneSnapshot {
  id: string
  cloneId: string
  /** When the clone that is meant was made: another may have its name by the time that its turn comes. */
  cloneMadeAt: string | undefined
  message: string
  tokenId: string | null
}

/** What people ask of snapshots. One that is being taken is not listed until it is whole, shut down cleanly, and on disk. */
export class SnapshotService {
  readonly #options: SnapshotServiceOptions

  constructor(options: SnapshotServiceOptions) {
    this.#options = options
  }

  /** Newest data first; the first is what a clone gets that names none. */
  list(): Snapshot[] {
    const { catalogue } = this.#options
    const users = countUsers(catalogue.clones.list())
    return catalogue.snapshots.listPublished().map((snapshot) => toSnapshot(snapshot, users.get(snapshot.id) ?? 0))
  }

  /**
   * Of the lab's own base, or of a running clone. Ready to be cloned when this resolves.
   *
   * @param tokenId the token that one of a clone will belong to; null for the first
   */
  async create(request: CreateSnapshotRequest, tokenId: string | null = null): Promise<Snapshot> {
    const { catalogue, jobs, log, requireWritable, requireSpace } = this.#options
    requireWritable()
    using place = jobs.reserve({ tokenId })
    const { cloneId } = request
    const cloneMadeAt = cloneId ? catalogue.clones.get(cloneId)?.createdAt : undefined
    await requireSpace()
    const id = request.id ?? timedId(new Date())
    if (parseTime(id) !== undefined)
      throw new LabError('INVALID_REQUEST', 'id: must not be a date, which stands for the newest data of then')
    if (catalogue.snapshots.get(id)) throw idTaken()
    const message = request.message ?? ''
    if (cloneId) await this.#ofClone({ id, cloneId, cloneMadeAt, message, tokenId }, place)
    else await this.#ofBase(id, message)
    log.info('snapshot is ready', { snapshot: id, clone: cloneId })
    return this.#get(id)
  }

  /** Gone from the list when this resolves, and from the pool, unless volumes that are still in use stand on it. */
  async delete(id: string): Promise<void> {
    const { catalogue, log, collectGarbage, requireWritable } = this.#options
    requireWritable()
    const snapshot = catalogue.snapshots.get(id)
    if (!snapshot?.published || snapshot.state !== 'live') {
      throw snapshotNotFound()
    }
    if (snapshot.protected) throw new LabError('SNAPSHOT_PROTECTED', 'the snapshot is protected')
    const users = usersOf(id, catalogue.clones.list())
    if (users.length > 0)
      throw new LabError('SNAPSHOT_IN_USE', `clones stand on it: ${users.map((clone) => clone.id).join(', ')}`)
    catalogue.evenIfFull(() => catalogue.snapshots.setState(id, 'retired'))
    await failPoint('snapshot-delete.retired')
    log.info('snapshot is deleted', { snapshot: id })
    await collectGarbage()
  }

  /** @throws LabError SNAPSHOT_NOT_FOUND */
  update(id: string, change: UpdateSnapshotRequest): Snapshot {
    const { catalogue, requireWritable } = this.#options
    requireWritable()
    const snapshot = catalogue.snapshots.get(id)
    if (!snapshot?.published || snapshot.state !== 'live') throw snapshotNotFound()
    const { protected: isProtected = snapshot.protected, message = snapshot.message } = change
    catalogue.snapshots.update(id, { protected: isProtected, message })
    return this.#get(id)
  }

  #get(id: string): Snapshot {
    const { catalogue } = this.#options
    const snapshot = catalogue.snapshots.get(id)
    if (!snapshot) throw new LabError('SNAPSHOT_NOT_FOUND', 'the snapshot was deleted meanwhile')
    return toSnapshot(snapshot, usersOf(id, catalogue.clones.list()).length)
  }

  /** The base's data has not changed since it was filled. */
  async #ofBase(id: string, message: string): Promise<void> {
    const { catalogue, provisioner } = this.#options
    const base = catalogue.volumes.base()
    // One that was filled before that was written down has it on its snapshots alone.
    const data = base?.data ?? catalogue.snapshots.list().find((snapshot) => snapshot.volumeId === base?.id)
    if (!base || !data) throw new LabError('SNAPSHOT_NOT_FOUND', 'the lab has no data of its own to take a snapshot of')
    const { database, databases, postgresVersion, timestamp, sample } = data
    const { maskVersion = '', superuser = '', hasPlanSettings = false } = data
    const facts = { database, databases, postgresVersion, timestamp, sample, maskVersion, superuser, hasPlanSettings }
    const own = { published: true, cloneId: '', size: 0, tokenId: null, protected: false }
    const record = { ...facts, ...own, id, volumeId: base.id, message }
    const dated = { ...record, createdAt: new Date().toISOString() }
    await this.#take(dated, async () => {
      const { sizeBytes } = await provisioner.snapshotStopped(base.id, id, snapshotLabels('base', dated))
      return { database, databases, size: sizeBytes }
    }).catch((error) => {
      throw explained(error, 'STORAGE_UNAVAILABLE')
    })
  }

  /**
   * As the clone's own operations, behind what is under way for it and before what comes after.
   *
   * @param place the job's, given back once it is added
   */
  async #ofClone(wanted: CloneSnapshot, place: Disposable): Promise<void> {
    const { catalogue, jobs } = this.#options
    const { cloneId } = wanted
    const clone = catalogue.clones.get(cloneId)
    if (!clone) throw new LabError('CLONE_NOT_FOUND', 'there is no clone with this id')
    // They wait behind one another, and would fill the queue for everybody.
    if (jobs.countOf(cloneId) > 1)
      throw new LabError('TOO_BUSY', 'other operations on this clone wait already', { retryAfterSeconds: 2 })
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    const take = (signal: AbortSignal) =>
      this.#takeOfClone(wanted, signal).then(resolve, (error) => {
        // What its user did to its data can keep it from being snapshotted: that is no defect of the server.
        reject(explained(error, 'CLONE_NOT_READY'))
      })
    const done = jobs.add(cloneId, take, { asker: { tokenId: wanted.tokenId, username: clone.username } })
    place[Symbol.dispose]()
    // Dropped by a stop of the server, it would be waited for without end.
    void done.then(() => reject(new LabError('SHUTTING_DOWN', 'the server is stopping', { retryAfterSeconds: 5 })))
    await promise
  }

  async #takeOfClone(wanted: CloneSnapshot, signal: AbortSignal): Promise<void> {
    const { catalogue, provisioner, freePort, collectGarbage } = this.#options
    const { id, cloneId, message, tokenId } = wanted
    const clone = catalogue.clones.get(cloneId)
    // Another one of its name may be there by now, which the caller may have no right to.
    if (clone?.createdAt !== wanted.cloneMadeAt || !clone)
      throw new LabError('CLONE_NOT_FOUND', 'the clone was deleted meanwhile')
    if (clone.status !== 'OK' || clone.volumeId === null) {
      throw new LabError('CLONE_NOT_READY', `the clone is ${clone.status}`, { retryAfterSeconds: 1 })
    }
    const source = catalogue.snapshots.get(clone.snapshotId)
    if (!source) throw new Error(`snapshot ${clone.snapshotId} is not in the catalogue`)
    const login = { username: clone.dbUsername, database: clone.dbName, verifier: clone.verifier }
    const running = { volumeId: clone.volumeId, port: clone.port, profile: clone.profile, login }
    // What it holds began as the source's data, so that is what its time says.
    const record = { ...source, message, createdAt: new Date().toISOString(), cloneId, tokenId, protected: false }
    const inner = { ...record, id: `${id.slice(0, 40)}-${randomId(8)}`, volumeId: running.volumeId, published: false }
    await this.#take(inner, async () => {
      // Where the clone is stopped for it, it is to have its port again.
      await freePort(cloneId)
      await provisioner.snapshotRunning(running, inner.id, snapshotLabels('internal', source))
      signal.throwIfAborted()
      return { database: source.database, databases: source.databases, size: 0 }
    })
    const scratch = randomId()
    catalogue.volumes.add(scratch, 'scratch', inner.id)
    try {
      await failPoint('snapshot.scratch-noted')
      await this.#take({ ...record, id, volumeId: scratch, published: true }, async () => {
        const labels = snapshotLabels('scratch', { ...record, size: 0 })
        const facts = await provisioner.recoverSnapshot(refOf({ ...inner, state: 'live' }), {
          volumeId: scratch,
          snapshotId: id,
          database: source.database,
          labels,
          signal,
        })
        return {
          database: mainDatabase(facts.databases, source.database, clone.dbName),
          databases: facts.databases,
          size: facts.sizeBytes,
        }
      })
    } catch (error) {
      // The clone is to be deleted, or the server is to stop: that is what its reason says.
      if (signal.aborted) throw signal.reason
      throw error
    } finally {
      // Nobody clones the crash-consistent one; it goes with the scratch volume that stands on it.
      catalogue.evenIfFull(() => catalogue.snapshots.setState(inner.id, 'retired'))
      await collectGarbage()
    }
  }

  /** In the catalogue before it is taken, and shown only after. What a failure leaves is retired, so that a collection removes it. */
  async #take(
    snapshot: Omit<SnapshotRecord, 'state'>,
    work: () => Promise<{ database: string; databases: string[]; size: number }>,
  ): Promise<void> {
    const { catalogue, collectGarbage } = this.#options
    catalogue.transaction(() => {
      if (catalogue.snapshots.get(snapshot.id)) throw idTaken()
      catalogue.snapshots.add(snapshot)
    })
    try {
      await failPoint('snapshot.noted')
      const facts = await work()
      await failPoint('snapshot.taken')
      catalogue.evenIfFull(() =>
        catalogue.transaction(() => {
          catalogue.snapshots.setLive(snapshot.id, facts)
          catalogue.volumes.setState(snapshot.volumeId, 'live')
        }),
      )
    } catch (error) {
      const retired = catalogue.volumes.list().find((volume) => volume.id === snapshot.volumeId)
      catalogue.evenIfFull(() =>
        catalogue.transaction(() => {
          catalogue.snapshots.setState(snapshot.id, 'retired')
          if (retired?.state === 'pending') catalogue.volumes.setState(snapshot.volumeId, 'retired')
        }),
      )
      await collectGarbage()
      if (isOutOfSpace(firstCause(error))) {
        throw new LabError('NOT_ENOUGH_DISK_SPACE', `the snapshot could not be taken. ${explainSpace(error)}`, {
          cause: error,
        })
      }
      throw error
    }
    await failPoint('snapshot.published')
  }
}

/** The clone's user may have renamed or dropped the one that it began with. */
function mainDatabase(databases: string[], ...wanted: string[]): string {
  const found = wanted.find((name) => databases.includes(name)) ?? databases.find((name) => name !== 'postgres')
  return found ?? databases[0] ?? ''
}

/** With what the storage, or Postgres, said of it. */
function explained(error: unknown, code: 'CLONE_NOT_READY' | 'STORAGE_UNAVAILABLE'): unknown {
  const cause = firstCause(error)
  if (!isProvisionError(cause, 'FAILED', 'TIMEOUT', 'IN_USE', 'NOT_FOUND', 'INVALID')) return error
  return new LabError(code, `the snapshot could not be taken: ${cause.message}`, { cause: error })
}

/** The clones that stand on a snapshot, or are being reset to it. */
export function usersOf(id: string, clones: CloneRecord[]): CloneRecord[] {
  return clones.filter((clone) => clone.snapshotId === id || clone.resetTo === id)
}

/** How many there are of each snapshot: for who asks for many. */
function countUsers(clones: CloneRecord[]): Map<string, number> {
  const counts = new Map<string, number>()
  for (const { snapshotId, resetTo } of clones) {
    for (const id of new Set([snapshotId, resetTo ?? snapshotId])) counts.set(id, (counts.get(id) ?? 0) + 1)
  }
  return counts
}

export function toSnapshot(record: SnapshotRecord, numClones: number): Snapshot {
  return {
    id: record.id,
    timestamp: record.timestamp,
    createdAt: record.createdAt,
    database: record.database,
    databases: record.databases,
    postgresVersion: record.postgresVersion,
    size: record.size,
    numClones,
    cloneId: record.cloneId,
    message: record.message,
    protected: record.protected,
    maskVersion: record.maskVersion,
    hasPlanSettings: record.hasPlanSettings,
  }
}

function idTaken(): LabError {
  return new LabError('SNAPSHOT_ALREADY_EXISTS', 'there is a snapshot with this id')
}
