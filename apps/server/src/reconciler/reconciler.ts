import { failPoint, type Instance, type PortPool, type Provisioner, type Volume } from '@dblab/provision'
import type { Catalogue } from '../catalogue/catalogue.ts'
import type { CloneRecord } from '../catalogue/clones.ts'
import { LOST_WRITES } from '../cloning/explain.ts'
import type { Jobs } from '../cloning/jobs.ts'
import { keepPort } from '../cloning/keep-port.ts'
import type { CloneLifecycle } from '../cloning/lifecycle.ts'
import { isUnderWay, resumeOperation } from '../cloning/resume.ts'
import type { Logger } from '../log.ts'

export interface ReconcilerOptions {
  catalogue: Catalogue
  provisioner: Provisioner
  lifecycle: CloneLifecycle
  jobs: Jobs
  ports: PortPool
  log: Logger
  collectGarbage: () => Promise<void>
}

/**
 * Brings together what should be (the catalogue) and what is (the storage and the process table), at start. Only to
 * be called with a catalogue that was read whole. It removes what the catalogue says is nobody's, and nothing else.
 */
export class Reconciler {
  readonly #options: ReconcilerOptions

  constructor(options: ReconcilerOptions) {
    this.#options = options
  }

  /** @returns what is out of order, in words; operations that go on run as jobs behind it. */
  async reconcile(): Promise<string[]> {
    const { catalogue, provisioner, ports } = this.#options
    for (const clone of catalogue.clones.list()) ports.take(clone.port, clone.id)
    const strangers = await this.#removeStrayInstances()
    await failPoint('reconcile.strays-removed')
    this.#retireUnfinished()
    await failPoint('reconcile.unfinished-retired')
    await this.#options.collectGarbage()
    await failPoint('reconcile.garbage-collected')
    const volumes = new Map((await provisioner.storage.listVolumes()).map((volume) => [volume.id, volume]))
    const problems = [
      ...strangers,
      ...(await this.#findUnknown([...volumes.keys()])),
      ...(await this.#findMissing(volumes)),
    ]
    const instances = new Map((await provisioner.runtime.list()).map((instance) => [instance.id, instance]))
    for (const clone of catalogue.clones.list()) await this.#resume(clone, volumes, instances)
    await this.#keepPorts(instances)
    await failPoint('reconcile.operations-resumed')
    return problems
  }

  /** A Postgres that neither a clone owns nor follows a source, of a volume that the catalogue knows: half made, retired, or scratch. */
  async #removeStrayInstances(): Promise<string[]> {
    const { catalogue, provisioner, log } = this.#options
    const owned = new Set(catalogue.clones.list().map((clone) => clone.volumeId))
    // It has followed its source meanwhile.
    owned.add(catalogue.volumes.standby()?.id ?? null)
    const known = new Set(catalogue.volumes.list().map(({ id }) => id))
    const unknown: string[] = []
    for (const { id } of await provisioner.runtime.list()) {
      if (owned.has(id)) continue
      if (!known.has(id)) {
        unknown.push(`a Postgres on volume ${id} is not in the catalogue, and was left alone`)
        continue
      }
      log.warn('removing a Postgres that no clone owns', { volume: id })
      await provisioner.runtime.remove(id)
    }
    return unknown
  }

  /** What a process that died was making: nobody waits for it, or it is made again from the beginning. */
  #retireUnfinished(): void {
    const { volumes, snapshots } = this.#options.catalogue
    for (const snapshot of snapshots.list()) {
      const abandoned = snapshot.state === 'pending' || (!snapshot.published && snapshot.state === 'live')
      if (abandoned) snapshots.setState(snapshot.id, 'retired')
    }
    for (const { id, state, role } of volumes.list()) {
      // A warm one may have been handed to somebody who was not told.
      if (state === 'pending' || (role === 'warm' && state !== 'retired')) volumes.setState(id, 'retired')
    }
  }

  /**
   * What carries the lab's label and is not in the catalogue. No crash leaves such a thing, since the catalogue has it before it is made;
   * so the catalogue has lost something, and what it lost may be somebody's work.
   */
  async #findUnknown(volumeIds: string[]): Promise<string[]> {
    const { catalogue, provisioner } = this.#options
    const known = new Set(catalogue.volumes.list().map(({ id }) => id))
    const knownSnapshots = new Set(catalogue.snapshots.list().map(({ volumeId, id }) => `${volumeId}@${id}`))
    const snapshots = (await provisioner.storage.listSnapshots()).map((ref) => `${ref.volumeId}@${ref.snapshotId}`)
    return [
      ...volumeIds.filter((id) => !known.has(id)).map((id) => `volume ${id}`),
      ...snapshots.filter((name) => !knownSnapshots.has(name)).map((name) => `snapshot ${name}`),
    ].map((what) => `${what} is not in the catalogue, and was left alone`)
  }

  /** What the catalogue has and the storage has not: removed behind our back, or by a disk that failed. */
  async #findMissing(volumes: Map<string, Volume>): Promise<string[]> {
    const { catalogue, provisioner } = this.#options
    const snapshots = await provisioner.storage.listSnapshots()
    const present = new Set(snapshots.map((ref) => `${ref.volumeId}@${ref.snapshotId}`))
    return [
      ...catalogue.snapshots
        .listPublished()
        .filter((snapshot) => !present.has(`${snapshot.volumeId}@${snapshot.id}`))
        .map((snapshot) => `snapshot ${snapshot.id} is missing in the pool`),
      ...catalogue.clones
        .list()
        .filter(({ volumeId, status }) => volumeId !== null && status === 'OK' && !volumes.has(volumeId))
        .map((clone) => `the data of clone ${clone.id} is missing in the pool`),
    ]
  }

  /** Of clones that are as they should be: a reset that was cut off may have given their port away, or another network have lost what led to them. */
  async #keepPorts(instances: Map<string, Instance>): Promise<void> {
    const { catalogue, provisioner } = this.#options
    const steered = await provisioner.ports.steered()
    for (const clone of catalogue.clones.list()) {
      const instance = clone.volumeId === null ? undefined : instances.get(clone.volumeId)
      if (clone.status !== 'OK' || instance?.state !== 'running') continue
      if (instance.port !== clone.port || steered.has(clone.port)) await keepPort(clone, this.#options)
    }
  }

  async #resume(clone: CloneRecord, volumes: Map<string, Volume>, instances: Map<string, Instance>): Promise<void> {
    const { jobs, lifecycle, log } = this.#options
    if (isUnderWay(clone)) {
      log.info('going on with an operation', { clone: clone.id, status: clone.status })
      resumeOperation(clone, jobs, lifecycle)
      return
    }
    const volume = clone.volumeId === null ? undefined : volumes.get(clone.volumeId)
    if (clone.status !== 'OK') return
    if (volume && instances.get(volume.id)?.state === 'running') return
    if (volume && (await lifecycle.books.lostWrites(clone))) {
      lifecycle.books.declareFatal(clone.id, LOST_WRITES)
      return
    }
    lifecycle.restarts.markStarting(clone.id)
    const restart = (signal: AbortSignal) => lifecycle.restarts.restart(clone.id, signal)
    void jobs.add(clone.id, restart, { asker: clone, kind: 'upkeep' })
  }
}
