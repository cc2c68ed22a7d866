import { dirname, join } from 'node:path'
import { ProvisionError } from './errors.ts'
import { readPlanSettings } from './plan-settings-file.ts'
import { clusterMajor } from './postgres/cluster.ts'
import { type Profile, profileSettings } from './postgres/profiles.ts'
import type { PostgresRuntime } from './postgres/runtime.ts'
import { noticingSpace } from './postgres/space.ts'
import type { StorageDriver, Volume, VolumeId } from './storage/driver.ts'

export interface ClusterVolumesOptions {
  storage: StorageDriver
  runtime: PostgresRuntime
  /** Postgres settings of every cluster, over the lab's defaults. */
  settings: Readonly<Record<string, string>>
  deadlines?: StartDeadlines | undefined
}

/** How long a Postgres may take until it is ready. */
export interface StartDeadlines {
  /** Of data that was shut down cleanly. */
  startMs: number
  /** Of any other: recovery replays at most what a clone wrote between two checkpoints, but that may be much. */
  recoveryMs: number
}

const DEADLINES: StartDeadlines = { startMs: 60_000, recoveryMs: 15 * 60_000 }

/** The volumes of a pool, each with a cluster in it: what is true of all of them, be they clones or what clones are made of. */
export class ClusterVolumes {
  readonly storage: StorageDriver
  readonly runtime: PostgresRuntime
  readonly settings: Readonly<Record<string, string>>

  readonly deadlines: StartDeadlines

  constructor({ storage, runtime, settings, deadlines = DEADLINES }: ClusterVolumesOptions) {
    this.deadlines = deadlines
    this.storage = storage
    this.runtime = runtime
    this.settings = settings
  }

  /** @throws ProvisionError NOT_FOUND */
  async dataDir(id: VolumeId): Promise<string> {
    const volume = await this.storage.findVolume(id)
    if (!volume) throw new ProvisionError('NOT_FOUND', `there is no volume ${id} in the pool`)
    return dataDirOf(volume)
  }

  /**
   * What the Postgres of this cluster is started with.
   *
   * @throws ProvisionError FAILED for `like-source` where the source's settings are not with the data
   */
  async settingsOf(dataDir: string, profile: Profile = 'dev'): Promise<Record<string, string>> {
    const own = profileSettings(profile, await clusterMajor(dataDir))
    const plan = profile === 'like-source' ? await readPlanSettings(dirname(dataDir)) : {}
    return { ...own, ...plan, ...this.settings }
  }

  /** Work with the Postgres of this volume; where a lack of space ended it, the failure says so. */
  noticingSpace<T>(id: VolumeId, work: () => Promise<T>): Promise<T> {
    return noticingSpace((lines) => this.runtime.logs(id, lines), work)
  }

  /** See `Provisioner.destroyVolume`. */
  async destroy(id: VolumeId, { isClone = false } = {}): Promise<void> {
    await this.runtime.remove(id)
    if (!isClone) await this.#evict(id)
    await this.storage.destroyVolume(id)
  }

  async #evict(id: VolumeId): Promise<void> {
    // Of an import that was cut off nothing is on record, and what makes its cluster goes on.
    const volume = await this.storage.findVolume(id)
    if (volume) await this.runtime.evict(dataDirOf(volume))
  }
}

/** The cluster lies one level below the volume's root, which may hold other things beside it. */
export function dataDirOf(volume: Pick<Volume, 'path'>): string {
  return join(volume.path, 'data')
}
