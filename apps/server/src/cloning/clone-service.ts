import { EventEmitter, once } from 'node:events'
import type { Clone, CloneStatusCode, CreateCloneRequest, UpdateCloneRequest } from '@dblab/models'
import { failPointNow } from '@dblab/provision'
import type { CloneRecord } from '../catalogue/clones.ts'
import type { SnapshotRecord } from '../catalogue/snapshots.ts'
import { LabError } from '../errors.ts'
import { chooseSnapshot } from '../snapshots/choose.ts'
import { CloneCreation, type CloneCreationOptions, type CreateOptions } from './clone-creation.ts'
import { databaseAfter } from './databases.ts'
import { requireRoomFor } from './limits.ts'
import { requireSuits } from './profile.ts'
import {
  cloneNotFound,
  databaseNotFound,
  loginUnknown,
  newDeadline,
  requireNoSuperuser,
  requireUnprotected,
} from './refusals.ts'
import { CloneViews } from './views.ts'

export interface CloneServiceOptions extends CloneCreationOptions {
  /** Host name in connection strings. */
  publicHost: string
  /** Clones take connections over TLS alone. */
  tls: boolean
}

export interface CloneFilter {
  project?: string | undefined
  username?: string | undefined
  status?: CloneStatusCode | undefined
  /** Those made with one token; undefined for all. */
  tokenId?: string | undefined
}

/** What people ask of clones: checks, promises, and hands the work to the lifecycle. */
export class CloneService {
  readonly #options: CloneServiceOptions
  readonly #changes = new EventEmitter().setMaxListeners(0)
  readonly #views: CloneViews
  readonly #creation: CloneCreation

  constructor(options: CloneServiceOptions) {
    this.#options = options
    this.#views = new CloneViews(options)
    this.#creation = new CloneCreation(options)
    options.lifecycle.books.onChange((id) => this.#changes.emit(eventOf(id)))
  }

  /** Promises a clone, or finds the one that the same request has made before. See `CloneCreation.create`. */
  async create(request: CreateCloneRequest, options: CreateOptions = {}): Promise<Clone> {
    return this.#view(await this.#creation.create(request, options))
  }

  #choose(wanted: string): SnapshotRecord {
    const { catalogue, requireMasked } = this.#options
    return chooseSnapshot(catalogue.snapshots.listPublished(), wanted, { masked: requireMasked })
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
    requireSuits(clone.profile, snapshot)
    if (databaseAfter(clone, catalogue.snapshots.get(clone.snapshotId), snapshot) === undefined) {
      throw databaseNotFound(snapshot)
    }
    using _place = jobs.reserve(clone)
    // What may take very long to come up is not waited for, since it is given up.
    if (lifecycle.restarts.isStarting(id)) jobs.abort(id, new LabError('CLONE_NOT_READY', 'the clone is being reset'))
    const changed = lifecycle.books.committing(clone, () =>
      catalogue.clones.update(id, {
        status: 'RESETTING',
        message: 'Database clone is being reset',
        resetTo: snapshot.id,
        resetFailedAt: null,
      }),
    )
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
}

function isSettled({ status }: Clone): boolean {
  return status.code === 'OK' || status.code === 'FATAL'
}

/** Not the id itself: one named `error` would be thrown, and others are the emitter's own events. */
function eventOf(id: string): string {
  return `clone ${id}`
}
