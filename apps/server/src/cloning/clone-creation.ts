import type { CloneProfile, CreateCloneRequest } from '@dblab/models'
import { failPoint, isProvisionError, type PortPool, provesPassword, scramVerifier } from '@dblab/provision'
import type { Catalogue } from '../catalogue/catalogue.ts'
import type { CloneRecord } from '../catalogue/clones.ts'
import type { TokenKey } from '../catalogue/idempotency.ts'
import { LabError } from '../errors.ts'
import { randomId } from '../ids.ts'
import { chooseSnapshot } from '../snapshots/choose.ts'
import { requireFuture } from '../time.ts'
import type { Jobs } from './jobs.ts'
import type { CloneLifecycle } from './lifecycle.ts'
import { type CloneLimits, requireRoomFor } from './limits.ts'
import { defaultProfileFor, requireSuits } from './profile.ts'
import { cloneNotFound, idTaken, requireAllowedUsername, requireDatabase, requireNoSuperuser } from './refusals.ts'
import { requestHash } from './request-hash.ts'
import { Trace } from './trace.ts'
import type { WarmPool } from './warm/warm-pool.ts'

export interface CloneCreationOptions {
  catalogue: Catalogue
  lifecycle: CloneLifecycle
  jobs: Jobs
  ports: PortPool
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

export interface CreateOptions {
  /** The token that the clone will belong to; null for the first. */
  tokenId?: string | null
  /** The same key again, with the same token, finds the clone that the first one made. */
  idempotencyKey?: string | undefined
}

/** How a clone is asked for: checked, and promised or handed out. */
export class CloneCreation {
  readonly #options: CloneCreationOptions

  constructor(options: CloneCreationOptions) {
    this.#options = options
  }

  /**
   * Promises a clone: it is in the catalogue when this resolves, in CREATING; or in OK, where an instance stood ready for it.
   */
  async create(request: CreateCloneRequest, options: CreateOptions = {}): Promise<CloneRecord> {
    const { catalogue, jobs, ports, lifecycle, requireWritable, requireSpace } = this.#options
    const { tokenId = null, idempotencyKey } = options
    const asked = performance.now()
    const key = idempotencyKey === undefined ? undefined : { tokenId, key: idempotencyKey }
    // Again where what it was checked by has changed meanwhile.
    for (;;) {
      const earlier = key && (await this.#findEarlier(key, request))
      if (earlier) return earlier
      requireWritable()
      using place = jobs.reserve({ tokenId })
      await requireSpace()
      // Another that came with the key has taken the id too.
      if (key && catalogue.idempotency.get(key)) continue
      const made = { ...(await this.#recordOf(request)), tokenId }
      const { id } = made
      const handedOut = await this.#handOut(made, request, key, asked)
      if (handedOut === 'again') continue
      if (handedOut) return this.#made(id)
      const port = await lendPort(ports, id)
      const record = { ...made, port }
      const volumeId = randomId()
      let isPromised = false
      try {
        isPromised = catalogue.aside(() =>
          this.#promise(record, request, key, () => {
            catalogue.volumes.add(volumeId, 'clone', record.snapshotId)
            catalogue.clones.add(record)
          }),
        )
      } finally {
        if (!isPromised) ports.release(port, id)
      }
      if (!isPromised) continue
      this.#options.warm?.note('miss')
      const trace = new Trace('queue')
      const promised = catalogue.flushed()
      const { password } = request.db
      // The storage is asked for nothing that a power cut could make the catalogue forget.
      const work = async (signal: AbortSignal) => {
        await promised
        await lifecycle.create(id, { password, volumeId, trace, signal })
      }
      void jobs.add(id, work, { asker: record })
      // The job has its own from here on: both would take the places of two while the disk is awaited.
      place[Symbol.dispose]()
      await promised
      await failPoint('create.promised')
      return this.#made(id)
    }
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
      isSettled = lifecycle.books.committing(clone, () =>
        this.#promise(clone, request, key, () => {
          catalogue.volumes.setRole(volumeId, 'clone')
          catalogue.clones.add({ ...clone, ...ready })
          catalogue.clones.recordCreation(cloningSeconds)
        }),
      )
      if (!isSettled) return 'again'
      warm.note('hit')
      const took = { start: 'warm', profile: clone.profile, seconds: cloningSeconds, steps: ready.steps } as const
      lifecycle.books.ends.tell({ operation: 'creation', outcome: 'ok', took })
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
    const published = catalogue.snapshots.listPublished()
    const snapshot = chooseSnapshot(published, request.snapshot ?? '', { masked: this.#options.requireMasked })
    const { username, password, dbName = snapshot.database } = request.db
    requireAllowedUsername(username)
    requireDatabase(snapshot, dbName)
    requireNoSuperuser(snapshot, username, this.#options.allowSuperusers)
    const profile = request.profile ?? defaultProfileFor(this.#options.defaultProfile, snapshot)
    requireSuits(profile, snapshot)
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
      profile,
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

  async #findEarlier(key: TokenKey, request: CreateCloneRequest): Promise<CloneRecord | undefined> {
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
    if (record) return record
    throw new LabError('CLONE_NOT_FOUND', 'the clone that the key made is deleted already: a new one takes a new key')
  }

  #made(id: string): CloneRecord {
    const record = this.#options.catalogue.clones.get(id)
    // Deleted as soon as it was written down.
    if (!record) throw cloneNotFound()
    return record
  }
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
