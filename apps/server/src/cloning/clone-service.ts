import { EventEmitter, once } from 'node:events'
import type { Clone, CloneProfile, CloneStatusCode, CreateCloneRequest, UpdateCloneRequest } from '@dblab/models'
import {
  failPoint,
  failPointNow,
  isProvisionError,
  type PortPool,
  provesPassword,
  scramVerifier,
} from '@dblab/provision'
import type { Catalogue } from '../catalogue/catalogue.ts'
import type { CloneRecord } from '../catalogue/clones.ts'
import type { TokenKey } from '../catalogue/idempotency.ts'
import type { SnapshotRecord } from '../catalogue/snapshots.ts'
import { LabError } from '../errors.ts'
import { randomId } from '../ids.ts'
import { chooseSnapshot } from '../snapshots/choose.ts'
import { requireFuture } from '../time.ts'
import { databaseAfter } from './databases.ts'
import type { Jobs } from './jobs.ts'
import type { CloneLifecycle } from './lifecycle.ts'
import { type CloneLimits, requireRoomFor } from './limits.ts'
import {
  cloneNotFound,
  databaseNotFound,
  idTaken,
  loginUnknown,
  newDeadline,
  requireAllowedUsername,
  requireDatabase,
  requireNoSuperuser,
  requireUnprotected,
} from './refusals.ts'
import { requestHash } from './request-hash.ts'
import { Trace } from './trace.ts'
import { CloneViews } from './views.ts'
import type { WarmPool } from './warm/warm-pool.ts'

export interface CloneServiceOptions {
  catalogue: Catalogue
  lifecycle: CloneLifecycle
  jobs: Jobs
  ports: PortPool
  /** Host name in connection strings. */
  publicHost: string
  /** Clones take connections over TLS alone. */
  tls: boolean
  /** Masking is configured: data that was not masked is nobody's to clone. */
  requireMasked: boolean
  /** A clone's user may be a superuser of the data. */
  allowSuperusers: boolean
  /** Of clones that ask for none. */
  defaultProfile: CloneProfile
  /** Instances that stand ready; left out for none. */
  warm?: WarmPool | undefined
  /** How many clones there may be. */
  limits: CloneLimits
  /** @throws LabError when the catalogue is lost. */
  requireWritable: () => void
  /** @throws LabError when there is too little space. */
  requireSpace: () => Promise<void>
}

export interface CloneFilter {
  project?: string | undefined
  username?: string | undefined
  status?: CloneStatusCode | undefined
  /** Those made with one token; undefined for all. */
  tokenId?: string | undefined
}

export interface CreateOptions {
  /** The token that the clone will belong to; null for the first. */
  tokenId?: string | null
  /** The same key again, with the same token, finds the clone that the first one made. */
  idempotencyKey?: string | undefined
}

/** What people ask of clones: checks, promises, and hands the work to the lifecycle. */
export class CloneService {
  readonly #options: CloneServiceOptions
  readonly #changes = new EventEmitter().setMaxListeners(0)
  readonly #views: CloneViews

  constructor(options: CloneServiceOptions) {
    this.#options = options
    this.#views = new CloneViews(options)
    options.lifecycle.onChange((id) => this.#changes.emit(eventOf(id)))
  }

  /**
   * Promises a clone: it is in the catalogue when this resolves, in CREATING; or in OK, where an instance stood ready for it.
   */
  async create(request: CreateCloneRequest, options: CreateOptions = {}): Promise<Clone> {
    const { catalogue, jobs, ports, lifecycle, requireWritable, requireSpace } = this.#options
    const { tokenId = null, idempotencyKey } = options
    const asked = performance.now()
    const key = idempotencyKey === undefined ? undefined : { tokenId, key: idempotencyKey }
    // Again where what it was checked by has changed meanwhile.
    for (;;) {
      const earlier = key && (await this.#findEarlier(key, request))
      if (earlier) return earlier
      requireWritable()
      using _place = jobs.reserve({ tokenId })
      await requireSpace()
      // Another that came with the key has taken the id too.
      if (key && catalogue.idempotency.get(key)) continue
      const made = { ...(await this.#recordOf(request)), tokenId }
      const { id } = made
      const handedOut = await this.#handOut(made, request, key, asked)
      if (handedOut === 'again') continue
      if (handedOut) return this.get(id)
      const port = await lendPort(ports, id)
      const record = { ...made, port }
      const volumeId = randomId()
      let isPromised = false
      try {
        isPromised = this.#promise(record, request, key, () => {
          catalogue.volumes.add(volumeId, 'clone', record.snapshotId)
          catalogue.clones.add(record)
        })
      } finally {
        if (!isPromised) ports.release(port, id)
      }
      if (!isPromised) continue
      const trace = new Trace('queue')
      await failPoint('create.promised')
      const { password } = request.db
      const work = (signal: AbortSignal) => lifecycle.create(id, { password, volumeId, trace, signal })
      void jobs.add(id, work, { asker: record })
      return this.get(id)
    }
  }

  #choose(wanted: string): SnapshotRecord {
    const { catalogue, requireMasked } = this.#options
    return chooseSnapshot(catalogue.snapshots.listPublished(), wanted, { masked: requireMasked })
  }

  /**
   * Makes the clone of an instance that stands ready, if there is one for it.
   *
   * @returns false where there was none, or it would not do: then the clone is made from nothing
   */
  async #handOut(
    record: Omit<CloneRecord, 'port'>,
    request: CreateCloneRequest,
    key: TokenKey | undefined,
    asked: number,
  ): Promise<boolean | 'again'> {
    const { catalogue, lifecycle, warm, ports } = this.#options
    const taken = warm?.take(record.snapshotId, record.profile)
    if (!warm || !taken) return false
    const { port, volumeId } = taken.prepared
    const clone = { ...record, port, volumeId }
    let isUntouched = true
    let isSettled = false
    try {
      if (!this.#isFree(clone, key)) return 'again'
      isUntouched = false
      const trace = new Trace('handover')
      if (!(await lifecycle.handOver(taken.prepared, clone, request.db.password))) return false
      const cloningSeconds = (performance.now() - asked) / 1000
      const ready = { ...lifecycle.readyNow(clone), cloningSeconds, steps: trace.steps() }
      isSettled = this.#promise(clone, request, key, () => {
        catalogue.volumes.setRole(volumeId, 'clone')
        catalogue.clones.add({ ...clone, ...ready })
        catalogue.clones.recordCreation(cloningSeconds)
      })
      if (!isSettled) return 'again'
    } finally {
      if (isUntouched) warm.giveBack(taken)
      else if (!isSettled) void warm.discard(taken)
    }
    ports.pass(port, clone.id)
    await failPoint('warm.settled')
    lifecycle.noteHandedOut(clone.id)
    return true
  }

  /** Checks the request. */
  async #recordOf(request: CreateCloneRequest): Promise<Omit<CloneRecord, 'tokenId' | 'port'>> {
    const { catalogue } = this.#options
    const id = request.id ?? randomId()
    if (catalogue.clones.get(id)) throw idTaken()
    const snapshot = this.#choose(request.snapshot ?? '')
    const { username, password, dbName = snapshot.database } = request.db
    requireAllowedUsername(username)
    requireDatabase(snapshot, dbName)
    requireNoSuperuser(snapshot, username, this.#options.allowSuperusers)
    const deleteAt = request.deleteAt ? requireFuture(request.deleteAt, 'deleteAt') : null
    const verifier = await scramVerifier(password)
    const now = new Date().toISOString()
    return {
      id,
      status: 'CREATING',
      message: 'Database clone is being created',
      project: request.project ?? '',
      name: request.name ?? '',
      username: request.username ?? '',
      protected: request.protected ?? false,
      deleteAt,
      createdAt: now,
      snapshotId: snapshot.id,
      resetTo: null,
      volumeId: null,
      dbUsername: username,
      dbName,
      verifier,
      size: 0,
      cloningSeconds: 0,
      lastUsedAt: now,
      unsafeBootId: null,
      resetFailedAt: null,
      profile: request.profile ?? this.#options.defaultProfile,
      steps: [],
    }
  }

  /**
   * Writes the clone down, in one commit with the volume that it has or will have. False when the key has another by now, or the snapshot
   * is gone: others may have come while the port and the verifier were awaited.
   *
   * @param add writes it down, once nothing is in the way
   */
  #promise(record: CloneRecord, request: CreateCloneRequest, key: TokenKey | undefined, add: () => void): boolean {
    const { catalogue } = this.#options
    return catalogue.transaction(() => {
      if (!this.#isFree(record, key)) return false
      add()
      if (key !== undefined) catalogue.idempotency.add(key, requestHash(request), record.id)
      return true
    })
  }

  /** @throws LabError where the clone is not to be made */
  #isFree(record: CloneRecord, key: TokenKey | undefined): boolean {
    const { catalogue, limits } = this.#options
    if (key !== undefined && catalogue.idempotency.get(key)) return false
    if (catalogue.clones.get(record.id)) throw idTaken()
    if (catalogue.snapshots.get(record.snapshotId)?.state !== 'live') return false
    requireRoomFor(record, catalogue.clones.list(), limits)
    return true
  }

  get(id: string): Clone {
    return this.#view(this.#require(id))
  }

  /** Oldest first. */
  list(filter: CloneFilter = {}): Clone[] {
    const { catalogue, jobs } = this.#options
    const positions = jobs.positions()
    return catalogue.clones
      .list()
      .filter(({ tokenId }) => filter.tokenId === undefined || tokenId === filter.tokenId)
      .map((record) => this.#view(record, positions.get(record.id) ?? 0))
      .filter(
        (clone) =>
          (filter.project === undefined || clone.project === filter.project) &&
          (filter.username === undefined || clone.username === filter.username) &&
          (filter.status === undefined || clone.status.code === filter.status),
      )
  }

  update(id: string, changes: UpdateCloneRequest): Clone {
    const { catalogue, requireWritable } = this.#options
    requireWritable()
    const clone = this.#require(id)
    if (clone.status === 'DELETING') throw new LabError('CLONE_NOT_READY', 'the clone is being deleted')
    const { deleteAt, ...rest } = changes
    const deadline = deleteAt === undefined ? {} : { deleteAt: newDeadline(clone, deleteAt) }
    const defined = Object.fromEntries(Object.entries(rest).filter(([, value]) => value !== undefined))
    const moved = { ...clone, ...defined }
    if (moved.project !== clone.project || moved.username !== clone.username)
      requireRoomFor(moved, catalogue.clones.list(), { ...this.#options.limits, max: undefined })
    return this.#view(catalogue.clones.update(id, { ...defined, ...deadline }))
  }

  /** The snapshot's data again, or another snapshot's. The clone is RESETTING when this returns. */
  async reset(id: string, to?: string): Promise<Clone> {
    const { catalogue, jobs, lifecycle, requireWritable, requireSpace } = this.#options
    requireWritable()
    const { createdAt } = this.#require(id)
    await requireSpace()
    const clone = this.#require(id)
    // Another one by now, which the caller may have no right to.
    if (clone.createdAt !== createdAt) throw cloneNotFound()
    requireUnprotected(clone)
    if (clone.status !== 'OK' && clone.status !== 'FATAL') {
      throw new LabError('CLONE_NOT_READY', `the clone is ${clone.status}`, { retryAfterSeconds: 1 })
    }
    if (clone.verifier === '') throw loginUnknown()
    const snapshot = this.#choose(to || clone.snapshotId)
    requireNoSuperuser(snapshot, clone.dbUsername, this.#options.allowSuperusers)
    if (databaseAfter(clone, catalogue.snapshots.get(clone.snapshotId), snapshot) === undefined) {
      throw databaseNotFound(snapshot)
    }
    using _place = jobs.reserve(clone)
    // What may take very long to come up is not waited for, since it is given up.
    if (lifecycle.restarts.isStarting(id)) jobs.abort(id, new LabError('CLONE_NOT_READY', 'the clone is being reset'))
    const changed = catalogue.clones.update(id, {
      status: 'RESETTING',
      message: 'Database clone is being reset',
      resetTo: snapshot.id,
      resetFailedAt: null,
    })
    const since = performance.now()
    failPointNow('reset.promised')
    void jobs.add(id, (signal) => lifecycle.reset(id, { signal, since }), { asker: clone })
    return this.#view(changed)
  }

  /** The clone is DELETING when this returns; what is under way for it is stopped. Twice is fine. */
  delete(id: string): Clone {
    const { catalogue, jobs, lifecycle, requireWritable } = this.#options
    requireWritable()
    const clone = this.#require(id)
    if (clone.status === 'DELETING') return this.#view(clone)
    requireUnprotected(clone)
    const changed = catalogue.evenIfFull(() =>
      catalogue.clones.update(id, { status: 'DELETING', message: 'Database clone is being deleted' }),
    )
    failPointNow('delete.promised')
    jobs.abort(id, new LabError('CLONE_NOT_READY', 'the clone is being deleted'))
    void jobs.add(id, () => lifecycle.delete(id), { asker: clone, kind: 'urgent' })
    return this.#view(changed)
  }

  /** The clone as it is once nothing is under way for it, or as it is when the time is over. */
  async wait(id: string, seconds: number, signal?: AbortSignal): Promise<Clone> {
    const first = this.get(id)
    if (isSettled(first)) return first
    const deadline = AbortSignal.any([AbortSignal.timeout(seconds * 1000), ...(signal ? [signal] : [])])
    for (;;) {
      const clone = this.get(id)
      if (isSettled(clone) || deadline.aborted) return clone
      try {
        await once(this.#changes, eventOf(id), { signal: deadline })
      } catch (error) {
        if (!deadline.aborted) throw error
      }
    }
  }

  #require(id: string): CloneRecord {
    const record = this.#options.catalogue.clones.get(id)
    if (!record) throw cloneNotFound()
    return record
  }

  #view(record: Readonly<CloneRecord>, queuePosition = this.#options.jobs.position(record.id)): Clone {
    const { restarts, sizes } = this.#options.lifecycle
    return this.#views.of(record, {
      queuePosition,
      diskQuota: sizes.quotas.get(record.id),
      starting: restarts.isStarting(record.id),
      down: restarts.whyDown(record.id),
    })
  }

  async #findEarlier(key: TokenKey, request: CreateCloneRequest): Promise<Clone | undefined> {
    const { catalogue } = this.#options
    const earlier = catalogue.idempotency.get(key)
    if (!earlier) return undefined
    const found = catalogue.clones.get(earlier.cloneId)
    // Somebody else may have its id by now.
    const record = found?.tokenId === key.tokenId ? found : undefined
    const same =
      earlier.requestHash === requestHash(request) &&
      (!record || (await provesPassword(record.verifier, request.db.password)))
    if (!same) throw new LabError('IDEMPOTENCY_KEY_REUSED', 'the key came with another request before')
    if (record) return this.#view(record)
    throw new LabError('CLONE_NOT_FOUND', 'the clone that the key made is deleted already: a new one takes a new key')
  }
}

function isSettled({ status }: Clone): boolean {
  return status.code === 'OK' || status.code === 'FATAL'
}

/** Not the id itself: one named `error` would be thrown, and others are the emitter's own events. */
function eventOf(id: string): string {
  return `clone ${id}`
}

async function lendPort(ports: PortPool, owner: string): Promise<number> {
  try {
    return await ports.lend({ owner })
  } catch (error) {
    if (isProvisionError(error, 'UNAVAILABLE')) {
      throw new LabError('NO_FREE_PORT', error.message, { cause: error, retryAfterSeconds: 30 })
    }
    throw error
  }
}
