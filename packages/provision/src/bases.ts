import { lchown, mkdir } from 'node:fs/promises'
import { dirname } from 'node:path'
import {
  BULK_LOAD_SETTINGS,
  type ClusterFacts,
  prepareAll,
  readFacts,
  SOCKET_ONLY_PORT,
  stopCleanly,
} from './base-steps.ts'
import { type ClusterVolumes, dataDirOf } from './cluster-volumes.ts'
import { ProvisionError } from './errors.ts'
import { failPoint } from './faults/faults.ts'
import { AccountFiles } from './physical/account-files.ts'
import { writePlanSettings } from './plan-settings-file.ts'
import { prepareBase, superusersOf } from './postgres/base.ts'
import { clusterMajor, isShutDownCleanly } from './postgres/cluster.ts'
import { planSettingsOf } from './postgres/plan-settings.ts'
import type { Instance, PostgresRuntime } from './postgres/runtime.ts'
import { vacuumSystemCatalogs } from './postgres/system-catalogs.ts'
import { takenSettings } from './postgres/taken-settings.ts'
import type { Labels, SnapshotRef, StorageDriver, Volume, VolumeId } from './storage/driver.ts'

export interface BaseSpec {
  /** Of the volume to be made. */
  volumeId: VolumeId
  /** That it will have, the main one first. */
  databases: readonly [string, ...string[]]
  port: number
  /** Who may come over TCP on `port` while it is filled. */
  loginRoles?: readonly string[]
  /** Of it while it is filled; the configured ones win over these. */
  settings?: Readonly<Record<string, string>> | undefined
  labels?: Labels
}

export interface ScratchSpec {
  /** Of the volume to be made. */
  volumeId: VolumeId
  /** Of the snapshot that is made of it. */
  snapshotId: string
  database: string
  labels?: Labels
  signal?: AbortSignal
}

/** What clones are made of: clusters that were made ready for it and shut down cleanly, and their snapshots. */
export class Bases {
  readonly #preparing: { keepSuperusers: boolean; timeoutMs: number }
  readonly #volumes: ClusterVolumes
  readonly #storage: StorageDriver
  readonly #runtime: PostgresRuntime

  /** @param keepSuperusers see `BaseOptions` */
  constructor(volumes: ClusterVolumes, keepSuperusers: boolean) {
    this.#preparing = { keepSuperusers, timeoutMs: volumes.deadlines.recoveryMs }
    this.#volumes = volumes
    this.#storage = volumes.storage
    this.#runtime = volumes.runtime
  }

  /**
   * An empty cluster in a new volume, run without a port for `fill`, made ready for clones, and shut down cleanly. The volume goes if
   * anything fails.
   */
  async create(
    spec: BaseSpec,
    fill: (instance: Instance) => Promise<void>,
    signal?: AbortSignal,
  ): Promise<ClusterFacts> {
    await using undo = new AsyncDisposableStack()
    const volume = await this.#storage.createVolume(spec.volumeId, spec.labels)
    undo.defer(() => this.#volumes.destroy(spec.volumeId))
    await failPoint('import.volume-made')
    const dataDir = dataDirOf(volume)
    await mkdir(dataDir, { mode: 0o700 })
    if (process.getuid?.() === 0) await lchown(dataDir, this.#runtime.account.uid, this.#runtime.account.gid)
    await this.#runtime.initialise(dataDir, signal)
    await failPoint('import.cluster-made')
    const facts = await this.#volumes.noticingSpace(spec.volumeId, () => this.#fill(spec, dataDir, fill, signal))
    await this.#runtime.remove(spec.volumeId)
    undo.move()
    return facts
  }

  async #fill(
    spec: BaseSpec,
    dataDir: string,
    fill: (instance: Instance) => Promise<void>,
    signal: AbortSignal | undefined,
  ): Promise<ClusterFacts> {
    const instance = await this.#runtime.start(
      {
        id: spec.volumeId,
        dataDir,
        host: spec.loginRoles?.length ? '127.0.0.1' : '',
        port: spec.port,
        users: spec.loginRoles ?? [],
        // The clones' own, so that one that Postgres refuses is seen now, and not at every clone.
        settings: { ...spec.settings, ...this.#volumes.settings, ...BULK_LOAD_SETTINGS },
      },
      { signal, timeoutMs: this.#volumes.deadlines.startMs },
    )
    await failPoint('import.postgres-started')
    await fill(instance)
    await failPoint('import.filled')
    signal?.throwIfAborted()
    const superusers = await superusersOf(instance, signal)
    for (const database of spec.databases)
      await prepareBase(instance, { database, keepSuperusers: this.#preparing.keepSuperusers, superusers, signal })
    await vacuumSystemCatalogs(instance, signal)
    await failPoint('import.prepared')
    const facts = await readFacts(instance, dataDir)
    await stopCleanly(this.#volumes, spec.volumeId, dataDir)
    await failPoint('import.shut-down')
    return facts
  }

  /** A snapshot of a volume on which nothing runs and that was shut down cleanly, such as a base. */
  async snapshot(volumeId: VolumeId, snapshotId: string, labels?: Labels): Promise<{ sizeBytes: number }> {
    const dataDir = await this.#volumes.dataDir(volumeId)
    if ((await this.#runtime.inspect(volumeId))?.state === 'running') {
      throw new ProvisionError('IN_USE', `a Postgres runs on volume ${volumeId}`, { users: [volumeId] })
    }
    if (!(await isShutDownCleanly(dataDir))) {
      throw new ProvisionError('FAILED', `the Postgres of volume ${volumeId} was not shut down cleanly`)
    }
    await this.#storage.snapshot(volumeId, snapshotId, labels)
    return { sizeBytes: await this.#storage.logicalBytes(volumeId) }
  }

  /**
   * Keeps with the data of a base what of its source's settings decides plans, for clones that are to be like the source.
   *
   * @returns the names of those that its Postgres does not know, or whose values it does not take
   */
  async keepPlanSettings(volumeId: VolumeId, settings: Readonly<Record<string, string>>): Promise<string[]> {
    const dataDir = await this.#volumes.dataDir(volumeId)
    const { found, strange } = planSettingsOf(settings)
    const { kept, notKept } = await takenSettings(this.#runtime, found, await clusterMajor(dataDir))
    await writePlanSettings(dirname(dataDir), kept, new AccountFiles(this.#runtime.account))
    return [...strange, ...notKept]
  }

  /**
   * What users may clone of a crash-consistent snapshot: a scratch volume of it, recovered once, its objects handed to the role that
   * every clone's user is a member of, shut down cleanly, and snapshotted. The scratch volume stands under the new snapshot.
   */
  async recover(from: SnapshotRef, scratch: ScratchSpec): Promise<ClusterFacts & { sizeBytes: number }> {
    await using undo = new AsyncDisposableStack()
    const volume = await this.#storage.clone(from, scratch.volumeId, scratch.labels)
    undo.defer(() => this.#volumes.destroy(scratch.volumeId))
    await failPoint('snapshot.scratch-made')
    const facts = await this.#volumes.noticingSpace(scratch.volumeId, () => this.#recover(volume, scratch))
    await this.#runtime.remove(scratch.volumeId)
    const { sizeBytes } = await this.snapshot(scratch.volumeId, scratch.snapshotId, scratch.labels)
    undo.move()
    return { ...facts, sizeBytes }
  }

  async #recover(volume: Volume, { volumeId: id, signal }: ScratchSpec): Promise<ClusterFacts> {
    const dataDir = dataDirOf(volume)
    const instance = await this.startUnseen(id, signal)
    await failPoint('snapshot.scratch-started')
    const facts = await readFacts(instance, dataDir)
    await prepareAll(instance, facts.databases, { ...this.#preparing, signal })
    await failPoint('snapshot.scratch-prepared')
    await stopCleanly(this.#volumes, id, dataDir)
    await failPoint('snapshot.scratch-shut-down')
    return facts
  }

  /** Runs the Postgres of a volume where nobody but the lab can reach it, recovering it first if it must be. */
  async startUnseen(id: VolumeId, signal?: AbortSignal): Promise<Instance> {
    const dataDir = await this.#volumes.dataDir(id)
    const settings = await this.#volumes.settingsOf(dataDir)
    return this.#runtime.start(
      { id, dataDir, host: '', port: SOCKET_ONLY_PORT, users: [], settings },
      { signal, timeoutMs: this.#volumes.deadlines.recoveryMs },
    )
  }
}
