import { totalmem } from 'node:os'
import type { CloneProfile } from '@dblab/models'
import { failPoint, type PortPool, type PreparedClone, type Provisioner } from '@dblab/provision'
import type { Catalogue } from '../../catalogue/catalogue.ts'
import { refOf, type SnapshotRecord } from '../../catalogue/snapshots.ts'
import { randomId } from '../../ids.ts'
import type { Lull } from '../../lab/lull.ts'
import { warmLabels } from '../../labels.ts'
import type { Logger } from '../../log.ts'
import { defaultProfileFor, suits } from '../profile.ts'
import { Demand } from './demand.ts'

export interface WarmPoolOptions {
  catalogue: Catalogue
  provisioner: Provisioner
  ports: PortPool
  log: Logger
  /** What a clone that names no snapshot would be made of now. */
  newest: () => SnapshotRecord | undefined
  /** Of clones that ask for none: there is always one of what they get of the newest snapshot, as far as `max` lets it. */
  profile: CloneProfile
  /** Instances at most; 0 for no pool. */
  max: number
  /** True while somebody waits for work on a clone: that comes first. */
  isBusy: () => boolean
  lull: Lull
  takeSpace: (cloneBytes: number) => Promise<Disposable>
  collectSoon: () => void
}

/** A Postgres that runs ahead of who will have it. */
export interface WarmInstance {
  prepared: PreparedClone
  snapshotId: string
  profile: CloneProfile
}

/** This share of the machine's memory is left to others. */
const FREE_MEMORY_SHARE = 0.1
const FIRST_RETRY_MS = 1000
const LAST_RETRY_MS = 60_000

/**
 * Instances that were started ahead, of the newest snapshot, each for one clone to come. As many as have lately been asked for within the
 * time that it takes to fill the pool again, and one more; filled one by one while nobody waits for anything else. None outlives its
 * snapshot's turn, the server, or its first user: what is left over is removed.
 */
export class WarmPool implements AsyncDisposable {
  readonly #options: WarmPoolOptions
  readonly #demands = new Map<CloneProfile, Demand>()
  readonly #closing = new AbortController()
  #ready: WarmInstance[] = []
  #filling: Promise<void> | undefined
  #failures = 0
  #retryAt = 0
  #hits = 0
  #misses = 0

  constructor(options: WarmPoolOptions) {
    this.#options = options
  }

  /** False where there are never any. */
  get isOn(): boolean {
    return this.#options.max > 0
  }

  /** How many stand ready. */
  get size(): number {
    return this.#ready.length
  }

  /** How many there are to be. */
  get target(): number {
    return [...this.#targets().values()].reduce((sum, count) => sum + count, 0)
  }

  /** Creations and resets that were handed one. */
  get hits(): number {
    return this.#hits
  }

  /** Those that there was none for, in a lab that has any. */
  get misses(): number {
    return this.#misses
  }

  /** What came of it that one was looked for: known only once the clone is promised. */
  note(result: 'hit' | 'miss'): void {
    if (this.#options.max === 0) return
    if (result === 'hit') this.#hits++
    else this.#misses++
  }

  /** One of this snapshot and profile, the caller's from now on: to be handed to a user, or discarded. */
  take(snapshotId: string, profile: CloneProfile): WarmInstance | undefined {
    if (this.#options.max === 0) return undefined
    this.#demandOf(profile).note()
    this.#options.lull.disturb()
    const at = this.#ready.findIndex(
      (warm) => warm.prepared.isAlive && warm.snapshotId === snapshotId && warm.profile === profile,
    )
    const [taken] = at < 0 ? [] : this.#ready.splice(at, 1)
    this.fill()
    return taken
  }

  /** Untouched since it was taken. */
  giveBack(warm: WarmInstance): void {
    if (this.#closing.signal.aborted) void this.discard(warm)
    else this.#ready.push(warm)
  }

  /** Its port is of no more use to anybody: while it runs it is bound to it, so that nobody else is lent it. */
  releasePort({ prepared: { port, volumeId } }: WarmInstance): void {
    this.#options.ports.release(port, ownerOf(volumeId))
  }

  /** Never to be had again. */
  async discard({ prepared }: WarmInstance): Promise<void> {
    const { catalogue, provisioner, ports, log, collectSoon } = this.#options
    const { volumeId, port } = prepared
    try {
      // Before the catalogue, which may be what has failed: as a warm one, it is nobody's after the next start.
      await provisioner.runtime.remove(volumeId)
      await prepared[Symbol.asyncDispose]()
      catalogue.evenIfFull(() => catalogue.volumes.setState(volumeId, 'retired'))
      ports.release(port, ownerOf(volumeId))
      collectSoon()
    } catch (error) {
      // Retired, it is removed with the next collection; still a warm one, at the next start.
      log.warn('an instance that stood ready could not be removed yet', { volume: volumeId, error })
    }
  }

  /** Sees to it that there are as many as there should be. Resolves when they are there, or nothing more can be done now. Never rejects. */
  fill(): Promise<void> {
    this.#filling ??= this.#fill().finally(() => {
      this.#filling = undefined
    })
    return this.#filling
  }

  async #fill(): Promise<void> {
    const { log } = this.#options
    try {
      await this.#discardUnfit()
      for (;;) {
        await this.#options.lull.arrival(this.#closing.signal)
        if (!this.#mayPrepare()) return
        const profile = this.#lacking()
        const snapshot = this.#options.newest()
        if (profile === undefined || !snapshot) return
        await this.#prepare(snapshot, profile)
        this.#failures = 0
        await this.#discardUnfit()
      }
    } catch (error) {
      if (this.#closing.signal.aborted) return
      this.#retryAt = Date.now() + Math.min(LAST_RETRY_MS, FIRST_RETRY_MS * 2 ** this.#failures++)
      log.warn('no instance could be started ahead; it will be tried again', { error })
    }
  }

  #mayPrepare(): boolean {
    const { isBusy, ports, max } = this.#options
    if (this.#closing.signal.aborted || Date.now() < this.#retryAt || isBusy()) return false
    return ports.unlent > max && process.availableMemory() > totalmem() * FREE_MEMORY_SHARE
  }

  /** Of which profile there is one too few. */
  #lacking(): CloneProfile | undefined {
    const count = (profile: CloneProfile) => this.#ready.filter((warm) => warm.profile === profile).length
    return [...this.#targets()].find(([profile, target]) => count(profile) < target)?.[0]
  }

  #targets(): Map<CloneProfile, number> {
    const { max, newest, profile: wanted } = this.#options
    const snapshot = newest()
    const usual = snapshot ? defaultProfileFor(wanted, snapshot) : wanted
    // Asked for while there was other data.
    const asked = [...this.#demands.keys()].filter((profile) => !snapshot || suits(profile, snapshot))
    return shareOut(
      max,
      new Map(
        [usual, ...asked].map((profile) => {
          const peak = this.#demandOf(profile).peak()
          return [profile, peak === 0 && profile !== usual ? 0 : peak + 1]
        }),
      ),
    )
  }

  #demandOf(profile: CloneProfile): Demand {
    const known = this.#demands.get(profile)
    if (known) return known
    const demand = new Demand()
    this.#demands.set(profile, demand)
    return demand
  }

  async #prepare(snapshot: SnapshotRecord, profile: CloneProfile): Promise<void> {
    const { catalogue, provisioner, ports, takeSpace } = this.#options
    const { signal } = this.#closing
    const volumeId = randomId()
    await using undo = new AsyncDisposableStack()
    const port = await ports.lend({ owner: ownerOf(volumeId) })
    undo.defer(() => ports.release(port, ownerOf(volumeId)))
    using _space = await takeSpace(snapshot.size)
    catalogue.volumes.add(volumeId, 'warm', snapshot.id)
    undo.defer(() => catalogue.evenIfFull(() => catalogue.volumes.setState(volumeId, 'retired')))
    await failPoint('warm.volume-noted')
    const { database } = snapshot
    const labels = warmLabels(snapshot, new Date().toISOString())
    const spec = { volumeId, from: refOf(snapshot), port, database, profile, labels }
    const prepared = await provisioner.prepareClone(spec, { signal })
    await failPoint('warm.prepared')
    catalogue.volumes.setState(volumeId, 'live')
    undo.move()
    this.#ready.push({ prepared, snapshotId: snapshot.id, profile })
  }

  /** Those that nobody would take any more: their Postgres has ended, there is newer data, or there are too many. */
  async #discardUnfit(): Promise<void> {
    const newest = this.#options.newest()?.id
    const left = this.#targets()
    const fit: WarmInstance[] = []
    const unfit: WarmInstance[] = []
    for (const warm of this.#ready) {
      const wanted = left.get(warm.profile) ?? 0
      const isFit = warm.prepared.isAlive && warm.snapshotId === newest && wanted > 0
      if (isFit) left.set(warm.profile, wanted - 1)
      ;(isFit ? fit : unfit).push(warm)
    }
    this.#ready = fit
    for (const warm of unfit) await this.discard(warm)
  }

  /** Nobody will ask for those that are left. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing.abort()
    await this.#filling
    await Promise.all(this.#ready.splice(0).map((warm) => this.discard(warm)))
  }
}

/** One to each in turn, to those that want more, until all are satisfied or nothing is left. */
export function shareOut<K>(total: number, wanted: ReadonlyMap<K, number>): Map<K, number> {
  const given = new Map([...wanted.keys()].map((key) => [key, 0]))
  for (let left = total; left > 0; ) {
    const hungry = [...wanted].filter(([key, count]) => (given.get(key) ?? 0) < count).slice(0, left)
    if (hungry.length === 0) break
    for (const [key] of hungry) given.set(key, (given.get(key) ?? 0) + 1)
    left -= hungry.length
  }
  return given
}

function ownerOf(volumeId: string): string {
  return `warm ${volumeId}`
}
