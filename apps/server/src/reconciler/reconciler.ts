import {
  dataDirOf,
  type Instance,
  isInUse,
  isProvisionError,
  isShutDownCleanly,
  type PortPool,
  type Provisioner,
  type Volume,
} from '@dblab/provision'
import type { Catalogue } from '../catalogue/catalogue.ts'
import type { CloneRecord } from '../catalogue/clones.ts'
import type { Jobs } from '../cloning/jobs.ts'
import type { CloneLifecycle } from '../cloning/lifecycle.ts'
import type { Logger } from '../log.ts'

export interface ReconcilerOptions {
  catalogue: Catalogue
  provisioner: Provisioner
  lifecycle: CloneLifecycle
  jobs: Jobs
  ports: PortPool
  log: Logger
  collectGarbage: () => Promise<void>
  /** Of the host as it runs now. */
  bootId: string | null
}

/**
 * Brings together what should be (the catalogue) and what is (the storage and the process table), at start and after any failure. Only to
 * be called with a catalogue that was read whole: what it does not know is removed, where it carries the lab's label.
 */
export class Reconciler {
  readonly #options: ReconcilerOptions

  constructor(options: ReconcilerOptions) {
    this.#options = options
  }

  /** @returns what could not be brought in order, in words; operations that go on run as jobs behind it. */
  async reconcile(): Promise<string[]> {
    const { catalogue, provisioner, ports } = this.#options
    for (const clone of catalogue.clones.list()) ports.take(clone.port, clone.id)
    await this.#removeStrayInstances()
    this.#retireUnfinished()
    const volumes = new Map((await provisioner.storage.listVolumes()).map((volume) => [volume.id, volume]))
    const problems = await this.#removeUnknown([...volumes.values()])
    await this.#options.collectGarbage()
    problems.push(...(await this.#noteMissing(volumes)))
    const instances = new Map((await provisioner.runtime.list()).map((instance) => [instance.id, instance]))
    for (const clone of catalogue.clones.list()) await this.#resume(clone, volumes, instances)
    return problems
  }

  /** A Postgres that no clone owns: of a volume half made, retired, or scratch. */
  async #removeStrayInstances(): Promise<void> {
    const { catalogue, provisioner, log } = this.#options
    const owned = new Set(catalogue.clones.list().map((clone) => clone.volumeId))
    for (const { id } of await provisioner.runtime.list()) {
      if (owned.has(id)) continue
      log.warn('removing a Postgres that no clone owns', { volume: id })
      await provisioner.runtime.remove(id)
    }
  }

  /** What a process that died was making: nobody waits for it, or it is made again from the beginning. */
  #retireUnfinished(): void {
    const { volumes, snapshots } = this.#options.catalogue
    for (const snapshot of snapshots.list()) {
      const abandoned = snapshot.state === 'pending' || (!snapshot.published && snapshot.state === 'live')
      if (abandoned) snapshots.setState(snapshot.id, 'retired')
    }
    for (const volume of volumes.list()) if (volume.state === 'pending') volumes.setState(volume.id, 'retired')
  }

  /** In turns, since a volume goes after its snapshots and a snapshot after its clones. What is left at the end stays, and is told. */
  async #removeUnknown(volumes: Volume[]): Promise<string[]> {
    const { catalogue, provisioner, log } = this.#options
    const known = new Set(catalogue.volumes.list().map(({ id }) => id))
    const knownSnapshots = new Set(catalogue.snapshots.list().map(({ volumeId, id }) => `${volumeId}@${id}`))
    const snapshots = await provisioner.storage.listSnapshots()
    let doomed = [
      ...snapshots
        .filter(({ volumeId, snapshotId }) => !knownSnapshots.has(`${volumeId}@${snapshotId}`))
        .map((ref) => ({
          what: `snapshot ${ref.volumeId}@${ref.snapshotId}`,
          remove: () => provisioner.storage.destroySnapshot(ref),
        })),
      ...volumes
        .filter(({ id }) => !known.has(id))
        .map(({ id }) => ({ what: `volume ${id}`, remove: () => provisioner.destroyVolume(id) })),
    ]
    for (let before = -1; doomed.length !== before && doomed.length > 0; ) {
      before = doomed.length
      const left: typeof doomed = []
      for (const item of doomed) {
        try {
          await item.remove()
          log.warn('removed what the catalogue does not know', { what: item.what })
        } catch (error) {
          if (!isProvisionError(error)) throw error
          if (!isInUse(error)) log.error('could not be removed', { what: item.what, error })
          left.push(item)
        }
      }
      doomed = left
    }
    return doomed.map(({ what }) => `${what} is not in the catalogue, and can't be removed`)
  }

  /** What the catalogue has and the storage has not: removed behind our back, or by a disk that failed. */
  async #noteMissing(volumes: Map<string, Volume>): Promise<string[]> {
    const { catalogue, provisioner, lifecycle } = this.#options
    const problems: string[] = []
    const present = new Set(
      (await provisioner.storage.listSnapshots()).map((ref) => `${ref.volumeId}@${ref.snapshotId}`),
    )
    for (const snapshot of catalogue.snapshots.listPublished()) {
      if (present.has(`${snapshot.volumeId}@${snapshot.id}`)) continue
      problems.push(`snapshot ${snapshot.id} is missing in the pool`)
    }
    for (const clone of catalogue.clones.list()) {
      if (clone.volumeId === null || volumes.has(clone.volumeId) || clone.status === 'DELETING') continue
      problems.push(`the data of clone ${clone.id} is missing in the pool`)
      lifecycle.declareFatal(clone.id, 'Its data is missing in the pool. Reset the clone, or delete it.')
    }
    return problems
  }

  async #resume(clone: CloneRecord, volumes: Map<string, Volume>, instances: Map<string, Instance>): Promise<void> {
    const { jobs, lifecycle, log } = this.#options
    if (clone.status !== 'OK' && clone.status !== 'FATAL')
      log.info('going on with an operation', { clone: clone.id, status: clone.status })
    if (clone.status === 'CREATING') void jobs.add(clone.id, (signal) => lifecycle.create(clone.id, { signal }))
    if (clone.status === 'RESETTING') void jobs.add(clone.id, (signal) => lifecycle.reset(clone.id, { signal }))
    if (clone.status === 'DELETING') void jobs.add(clone.id, () => lifecycle.delete(clone.id))
    const volume = clone.volumeId === null ? undefined : volumes.get(clone.volumeId)
    if (clone.status !== 'OK' || !volume || instances.get(volume.id)?.state === 'running') return
    if (await this.#lostWrites(clone, volume)) {
      lifecycle.declareFatal(
        clone.id,
        'The host went down while this clone ran with fsync=off, so its data can not be trusted. Reset the clone, or delete it.',
      )
      return
    }
    void jobs.add(clone.id, () => lifecycle.restart(clone.id))
  }

  /** With `fsync=off`, what a clean shutdown did not write out is gone with the kernel that held it. */
  async #lostWrites(clone: CloneRecord, volume: Volume): Promise<boolean> {
    if (clone.unsafeBootId === null || clone.unsafeBootId === this.#options.bootId) return false
    return !(await isShutDownCleanly(dataDirOf(volume)))
  }
}
