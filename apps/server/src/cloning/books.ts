import type { CloneProfile } from '@dblab/models'
import { isProvisionError, type Provisioner } from '@dblab/provision'
import type { Catalogue } from '../catalogue/catalogue.ts'
import type { CloneRecord } from '../catalogue/clones.ts'
import { refOf, type SnapshotRecord } from '../catalogue/snapshots.ts'
import type { Lull } from '../lab/lull.ts'
import { cloneLabels } from '../labels.ts'
import type { Logger } from '../log.ts'
import { explainFailure } from './explain.ts'
import { loginOf } from './login.ts'
import { OperationEnds } from './operation-ends.ts'
import { ReplacedServers } from './replaced.ts'
import { Restarts } from './restarts.ts'

export interface CloneBooksOptions {
  catalogue: Catalogue
  provisioner: Provisioner
  log: Logger
  /** When chores may begin. */
  lull: Lull
  /** Of the host as it runs now; null where the system has none. */
  bootId: string | null
  /** True when clones of this profile run with `fsync=off`. */
  isUnsafe: (profile: CloneProfile) => boolean
}

export interface Outcome {
  status: 'OK' | 'FATAL'
  message: string
}

export const READY: Outcome = { status: 'OK', message: 'Database is ready' }

/** What is written down of the clones that operations go through, and who is told. */
export class CloneBooks {
  readonly restarts: Restarts
  readonly replaced: ReplacedServers
  readonly ends = new OperationEnds()
  readonly #options: CloneBooksOptions
  readonly #listeners: ((id: string) => void)[] = []

  constructor(options: CloneBooksOptions) {
    this.#options = options
    this.replaced = new ReplacedServers(options)
    this.restarts = new Restarts({
      ...options,
      unsafeBootIdOf: (clone) => this.#unsafeBootIdOf(clone),
      changed: (id) => this.changed(id),
      freePort: (id) => this.replaced.gone(id),
    })
  }

  /** The listener is called whenever a clone's status may have changed. */
  onChange(listener: (id: string) => void): void {
    this.#listeners.push(listener)
  }

  changed(id: string): void {
    for (const listener of this.#listeners) listener(id)
  }

  /** What the catalogue says of a clone in this status; undefined where it has another by now, or is gone. */
  read(id: string, status: CloneRecord['status']): CloneRecord | undefined {
    const clone = this.#options.catalogue.clones.get(id)
    return clone?.status === status ? clone : undefined
  }

  snapshot(id: string): SnapshotRecord {
    const snapshot = this.#options.catalogue.snapshots.get(id)
    // A snapshot is not deleted while a clone names it.
    if (!snapshot) throw new Error(`snapshot ${id} is not in the catalogue`)
    return snapshot
  }

  /** What a new volume of the clone is to be, with what its label says. */
  spec(clone: CloneRecord, snapshot: SnapshotRecord, volumeId: string, password: string | undefined) {
    const labels = cloneLabels(clone, snapshot, { state: 'pending', createdAt: new Date().toISOString() })
    const { port, profile } = clone
    return { volumeId, from: refOf(snapshot), port, login: { ...loginOf(clone), password }, profile, labels }
  }

  /**
   * Commits that a clone is ready, or is to be reset. Where a power cut loses the clone itself, nobody has to wait until the disk has that: what the
   * catalogue said before will do, which is that it was never made, is being made, or has data that is lost.
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

  /**
   * The saga's last step. A clone that was asked to be deleted meanwhile stays DELETING, since its deletion waits behind, but owns what
   * was made.
   */
  settle(id: string, outcome: Outcome, commit: () => Partial<CloneRecord> = () => ({})): void {
    const { catalogue } = this.#options
    catalogue.evenIfFull(() =>
      catalogue.transaction(() => {
        const changes = commit()
        const deleting = this.read(id, 'DELETING') !== undefined
        catalogue.clones.update(id, { ...changes, resetTo: null, ...(deleting ? {} : outcome) })
      }),
    )
    this.restarts.forget(id)
    this.#options.lull.disturb()
    this.changed(id)
  }

  /** True once the catalogue says that this volume is the clone's: from then on it is no failed operation's to undo. */
  owns(id: string, volumeId: string): boolean {
    return this.#options.catalogue.clones.get(id)?.volumeId === volumeId
  }

  /** Noted for a clone that was asked to be deleted before anything was made. */
  forgetVolume(volumeId: string | undefined): void {
    if (volumeId === undefined) return
    this.#options.catalogue.evenIfFull(() => this.#options.catalogue.volumes.delete(volumeId))
  }

  /** The provisioner has undone what it did; this is for what it could not, and for the catalogue. */
  async drop(volumeId: string): Promise<void> {
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

  fail(id: string, what: 'creation' | 'reset', error: unknown): void {
    this.#options.log.error(`${what} failed`, { clone: id, error })
    const first = what === 'creation' ? 'Creation failed.' : 'Reset failed.'
    this.settle(id, { status: 'FATAL', message: `${first} ${explainFailure(error)} Reset the clone, or delete it.` })
    this.ends.tell({ operation: what, outcome: 'failed' })
  }
  /** The clone can't be used; the message says why and what to do. */
  declareFatal(id: string, message: string): void {
    this.restarts.forget(id)
    const { catalogue } = this.#options
    catalogue.evenIfFull(() => catalogue.clones.update(id, { status: 'FATAL', message, resetTo: null }))
    this.changed(id)
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
}
