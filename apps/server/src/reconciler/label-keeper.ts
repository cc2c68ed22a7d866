import { isProvisionError, type Labels, type SnapshotRef, type StorageDriver } from '@dblab/provision'
import type { Catalogue } from '../catalogue/catalogue.ts'
import type { CloneRecord } from '../catalogue/clones.ts'
import { refOf, type SnapshotRecord } from '../catalogue/snapshots.ts'
import type { VolumeRecord } from '../catalogue/volumes.ts'
import { baseLabels, cloneLabels, retiredLabels, snapshotLabels, standbyLabels } from '../labels.ts'
import type { Logger } from '../log.ts'

export interface LabelKeeperOptions {
  catalogue: Catalogue
  storage: StorageDriver
  log: Logger
}

/** Labels that something should bear. */
interface Wanted {
  what: string | SnapshotRef
  /** From those that it bears. */
  labels: (now: Labels) => Labels
}

/**
 * Writes into the storage's labels what the catalogue says, soon after it has changed, so that a lost catalogue can be made of them
 * again. Nothing waits for it: what a label does not say yet, at most the last second, a rebuild finds in the data or leaves undecided.
 */
export class LabelKeeper {
  readonly #options: LabelKeeperOptions
  /** What is in the storage, by name. */
  readonly #known = new Map<string, Labels>()
  #seen: number | undefined

  constructor(options: LabelKeeperOptions) {
    this.#options = options
  }

  /** Looks whether anything has changed, and writes what has. */
  async round(): Promise<void> {
    const { catalogue } = this.#options
    const { changes } = catalogue
    if (this.#seen === changes) return
    if (this.#seen === undefined) await this.#load()
    const wanted = this.#wanted()
    for (const name of this.#known.keys()) if (!wanted.has(name)) this.#known.delete(name)
    let failed = false
    for (const [name, each] of wanted) failed = !(await this.#keep(name, each)) || failed
    this.#seen = failed ? -1 : changes
  }

  async #load(): Promise<void> {
    const { storage } = this.#options
    for (const { id, labels } of await storage.listVolumes()) this.#known.set(id, labels)
    for (const { labels, ...ref } of await storage.listSnapshots()) this.#known.set(nameOf(ref), labels)
  }

  /** What is being made has been labelled as it is made. */
  #wanted(): Map<string, Wanted> {
    const { clones, snapshots, volumes } = this.#options.catalogue
    const owners = new Map(clones.list().map((clone) => [clone.volumeId, clone]))
    const sources = new Map(snapshots.list().map((snapshot) => [snapshot.id, snapshot]))
    const wanted = new Map<string, Wanted>()
    for (const volume of volumes.list()) {
      const owner = owners.get(volume.id)
      const labels = labelsOfVolume(volume, owner, owner && sources.get(owner.snapshotId))
      // A warm one has been labelled too, and is a clone's soon or gone.
      if (volume.state !== 'pending' && volume.role !== 'warm') wanted.set(volume.id, { what: volume.id, labels })
    }
    for (const snapshot of sources.values()) {
      if (snapshot.state === 'pending' || !snapshot.published) continue
      const ref = refOf(snapshot)
      wanted.set(nameOf(ref), { what: ref, labels: labelsOfSnapshot(snapshot) })
    }
    return wanted
  }

  /** @returns false where it is to be tried again */
  async #keep(name: string, { what, labels }: Wanted): Promise<boolean> {
    const { storage, log } = this.#options
    try {
      const known = this.#known.get(name) ?? (await this.#read(what))
      const next = labels(known)
      if (JSON.stringify(known) !== JSON.stringify(next)) await storage.relabel(what, next)
      this.#known.set(name, next)
      return true
    } catch (error) {
      // It went while it was looked at.
      if (isProvisionError(error, 'NOT_FOUND')) return true
      if (!isProvisionError(error)) throw error
      log.warn('labels could not be written yet', { name, error })
      return false
    }
  }

  /** A snapshot that is not known has been made since the start, with all that is to be said of it but its size. */
  async #read(what: string | SnapshotRef): Promise<Labels> {
    if (typeof what !== 'string') return {}
    return (await this.#options.storage.findVolume(what))?.labels ?? {}
  }
}

function labelsOfVolume(
  volume: VolumeRecord,
  owner: CloneRecord | undefined,
  source: SnapshotRecord | undefined,
): Wanted['labels'] {
  if (volume.state === 'retired') return retiredLabels
  const { data, standby } = volume
  if (data) return () => baseLabels(data, volume)
  if (standby) return () => standbyLabels(standby, volume)
  if (owner && source) return () => cloneLabels(owner, source, volume)
  return (now) => ({ ...now, state: volume.state })
}

function labelsOfSnapshot(snapshot: SnapshotRecord): Wanted['labels'] {
  if (snapshot.state === 'retired') return retiredLabels
  // Of a clone's data it was made by way of a scratch volume.
  return () => snapshotLabels(snapshot.cloneId === '' ? 'base' : 'scratch', snapshot)
}

function nameOf(ref: SnapshotRef): string {
  return `${ref.volumeId}@${ref.snapshotId}`
}
