import type { ClusterFacts } from './base-steps.ts'
import { type BaseSpec, Bases, type ScratchSpec } from './bases.ts'
import { allOf, bothOf } from './bounded.ts'
import { ClonePorts } from './clone-ports.ts'
import { type CloneOptions, CloneStarts, type Login } from './clone-starts.ts'
import { ClusterVolumes, type StartDeadlines } from './cluster-volumes.ts'
import { ProvisionError } from './errors.ts'
import { failPoint } from './faults/faults.ts'
import { type AdoptedFacts, Adoptions, type AdoptSpec, type AdoptSteps } from './physical/adoption.ts'
import { Standbys } from './physical/standby.ts'
import { clusterMajor, isShutDownCleanly } from './postgres/cluster.ts'
import { withLabConnection } from './postgres/connect.ts'
import { makeFirstCheckpoint } from './postgres/first-checkpoint.ts'
import { LAB_DATABASE } from './postgres/names.ts'
import type { Profile } from './postgres/profiles.ts'
import { readUser, readVerifier } from './postgres/roles.ts'
import type { Certificate, Instance, InstanceLimits, PostgresRuntime } from './postgres/runtime.ts'
import type { PreparedClone } from './prepared-clone.ts'
import type { PortSteering } from './steering/port-steering.ts'
import type { Labels, SnapshotRef, StorageDriver, Volume, VolumeId } from './storage/driver.ts'

export interface CloneSpec {
  /** Of the volume to be made. */
  volumeId: VolumeId
  from: SnapshotRef
  port: number
  login: Login
  /** `dev` if left out. */
  profile?: Profile | undefined
  labels?: Labels
}

export interface ProvisionerOptions {
  storage: StorageDriver
  runtime: PostgresRuntime
  /** Address that clones listen on. */
  host: string
  /** With it, clones take connections over TLS alone. */
  tls?: Certificate | undefined
  /** Postgres settings of every clone, over the lab's defaults. */
  settings: Readonly<Record<string, string>>
  /** 1 minute, and 15 where there is something to recover, if left out. */
  deadlines?: StartDeadlines | undefined
  /** What a clone may write beyond its snapshot, in bytes. Where the storage can't bound it, nothing does. */
  quotaBytes?: number | undefined
  /** What each clone's Postgres may take of the machine. */
  limits?: InstanceLimits | undefined
  /** Lets prepared clones take the place of others; without it, none does. */
  steering?: PortSteering | undefined
  /** Superusers of the data stay what they are when it is brought in, and a clone's user may be one of them. */
  allowSuperusers: boolean
}

/**
 * Joins storage, Postgres and port to a clone. Keeps no state: what exists is in the storage and the process table, what should is
 * its caller's to know. Each method undoes what it did when it fails; the caller keeps one volume to one call.
 */
export class Provisioner {
  readonly storage: StorageDriver
  readonly runtime: PostgresRuntime
  readonly ports: ClonePorts
  readonly #options: ProvisionerOptions
  readonly #volumes: ClusterVolumes
  readonly #starts: CloneStarts
  readonly #bases: Bases
  readonly #adoptions: Adoptions
  readonly standbys: Standbys

  constructor(options: ProvisionerOptions) {
    this.storage = options.storage
    this.runtime = options.runtime
    this.ports = new ClonePorts(options.runtime, options.steering)
    this.#options = options
    this.#volumes = new ClusterVolumes(options)
    this.#starts = new CloneStarts(this.#volumes, options)
    this.#bases = new Bases(this.#volumes, options.allowSuperusers)
    this.#adoptions = new Adoptions(this.#volumes, options.allowSuperusers)
    this.standbys = new Standbys(this.#volumes)
  }

  /** A new volume of the snapshot with a running Postgres that takes the login. Ready when this resolves. */
  async createClone(spec: CloneSpec, options: CloneOptions = {}): Promise<void> {
    await using undo = new AsyncDisposableStack()
    options.onStep?.('volume')
    const volume = await this.#cloneVolume(spec)
    undo.defer(() => this.destroyVolume(spec.volumeId))
    await failPoint('clone.volume-made')
    options.signal?.throwIfAborted()
    await this.#starts.forUser(volume, spec, options)
    undo.move()
  }

  /**
   * A new volume of the snapshot with a running Postgres that nobody is let into yet, to be handed to a user later.
   *
   * @param spec.database the snapshot's main one
   */
  async prepareClone(
    spec: Omit<CloneSpec, 'login'> & { database: string },
    { signal }: CloneOptions = {},
  ): Promise<PreparedClone> {
    await using undo = new AsyncDisposableStack()
    const volume = await this.#cloneVolume(spec)
    undo.defer(() => this.destroyVolume(spec.volumeId))
    await failPoint('clone.volume-made')
    signal?.throwIfAborted()
    const prepared = await this.#starts.ahead(volume, spec, signal)
    undo.move()
    return prepared
  }

  /**
   * Hands a prepared one to its user; ready when this resolves. After a failure it is nobody's, and to be destroyed. It fails soon: what
   * would take long is done better from the beginning.
   */
  async handOver(prepared: PreparedClone, login: Login, { signal }: CloneOptions = {}): Promise<void> {
    await this.#starts.handOver(prepared, login, signal)
  }

  /**
   * Gives a clone the data that a prepared one has: hands that to the clone's user, and has it answer at the clone's port, until it ends, in place of
   * `old`. Ready when this resolves. The old one stands still then, with its sessions, for the caller to end. After a failure as for `handOver`, and the
   * caller has the old one go on and gives the port back: see `PostgresRuntime.resume` and `ClonePorts.answerAt`.
   *
   * @throws ProvisionError IN_USE where others listen at the port
   */
  async resetToPrepared(
    old: VolumeId | null,
    prepared: PreparedClone,
    login: Login,
    port: number,
    options: CloneOptions = {},
  ): Promise<void> {
    const { volumeId } = prepared
    const servers = this.ports.serversOf(old, volumeId)
    await allOf([this.handOver(prepared, login, options), servers, ...(old === null ? [] : [this.runtime.halt(old)])])
    await this.ports.giveAway(port, await servers)
  }

  /** The same with one that is made for it, at the port that `spec` names: as `createClone`. */
  async resetBeside(old: VolumeId, spec: CloneSpec, port: number, options: CloneOptions = {}): Promise<void> {
    await using undo = new AsyncDisposableStack()
    await this.createClone(spec, options)
    undo.defer(() => this.destroyVolume(spec.volumeId))
    await this.ports.giveAway(port, await this.ports.serversOf(old, spec.volumeId))
    await this.runtime.halt(old)
    undo.move()
  }

  /**
   * Has a clone that was handed over let its user in by name, as one that was made from nothing does; until then it is by the role that it
   * alone has. Takes time of the clone's processors, all of whose processes read their settings anew. Nothing where none runs.
   */
  async admitByName(id: VolumeId, username: string): Promise<void> {
    if ((await this.runtime.inspect(id))?.state === 'running') await this.runtime.admit(id, [username])
  }

  /**
   * The data of `spec.from` under a new volume, at the same port with the same login, in place of `old`. The old instance is stopped
   * while the volume is made, its volume stands: the caller retires it once its own books say so. After a failure the old instance runs again, unless `keepOld` is
   * false, for data that nobody should use, or the signal has asked to stop.
   */
  async resetClone(
    old: VolumeId,
    spec: CloneSpec,
    options: CloneOptions & { keepOld?: boolean | undefined } = {},
  ): Promise<void> {
    await using undo = new AsyncDisposableStack()
    options.onStep?.('volume')
    undo.defer(async () => {
      if (options.keepOld === false || options.signal?.aborted) return
      await this.startClone({ ...spec, volumeId: old }, { signal: options.signal })
    })
    // A half-started instance goes with it, before the old one's start: both want the port.
    undo.defer(() => this.destroyVolume(spec.volumeId))
    // At once: should the undo start it again, its recovery brings back all that was committed, but for what is in UNLOGGED tables.
    const [volume] = await bothOf(this.#volumeOfReset(spec), this.#stopForReset(old))
    options.signal?.throwIfAborted()
    await this.#starts.forUser(volume, spec, options)
    undo.move()
  }

  async #volumeOfReset(spec: CloneSpec): Promise<Volume> {
    const volume = await this.#cloneVolume(spec)
    await failPoint('clone.volume-made')
    return volume
  }

  async #stopForReset(old: VolumeId): Promise<void> {
    await this.runtime.stop(old, 'immediate')
    await failPoint('reset.old-stopped')
  }

  /**
   * Starts the Postgres of a clone's volume again, on its port: after a reboot of the host, a stop, or a crash. The login is in the data
   * already, and is left as it is: what its user changed in the database must not keep it from coming up.
   */
  async startClone(spec: Omit<CloneSpec, 'from'>, { signal }: CloneOptions = {}): Promise<void> {
    const { volumeId: id } = spec
    const dataDir = await this.#volumes.dataDir(id)
    const settings = await this.#volumes.settingsOf(dataDir, spec.profile)
    const { host, tls, limits } = this.#options
    const users = [spec.login.username]
    await this.ports.release(spec.port)
    await this.#volumes.noticingSpace(id, () =>
      this.runtime.start(
        { id, dataDir, host, tls, port: spec.port, database: LAB_DATABASE, users, settings, limits },
        { signal, timeoutMs: this.#volumes.deadlines.recoveryMs },
      ),
    )
  }

  /**
   * What the data has of a role that may log in: its SCRAM verifier; undefined where there is no such role. A Postgres that does not run
   * is started for the question, without a port, and stopped again.
   */
  async verifierOf(id: VolumeId, username: string, { signal }: CloneOptions = {}): Promise<string | undefined> {
    return this.#asking(id, (instance) => readVerifier(instance, username, signal), signal)
  }

  /** The user that an instance which was started ahead has been handed to; undefined where it has not. Started for the question likewise. */
  async userOf(id: VolumeId, { signal }: CloneOptions = {}): Promise<string | undefined> {
    return this.#asking(id, (instance) => readUser(instance, signal), signal)
  }

  async #asking<T>(id: VolumeId, ask: (instance: Instance) => Promise<T>, signal?: AbortSignal): Promise<T> {
    const running = await this.runtime.inspect(id)
    if (running?.state === 'running') return ask(running)
    const instance = await this.#bases.startUnseen(id, signal)
    try {
      return await ask(instance)
    } finally {
      await this.runtime.stop(id, 'clean')
    }
  }

  /**
   * Brings the Postgres of a new clone to rest: while it is only read it writes nothing from then on, and outlives a pool that runs full.
   * Nothing where none runs.
   */
  async makeFirstCheckpoint(id: VolumeId, { signal }: CloneOptions = {}): Promise<void> {
    const instance = await this.runtime.inspect(id)
    if (instance?.state === 'running') await makeFirstCheckpoint(instance, signal)
  }

  /** The major version of Postgres that the data of a volume is of. */
  async majorOf(id: VolumeId): Promise<number> {
    return clusterMajor(await this.#volumes.dataDir(id))
  }

  /** True when a Postgres that is started on the volume needs no recovery. */
  async isShutDownCleanly(id: VolumeId): Promise<boolean> {
    return isShutDownCleanly(await this.#volumes.dataDir(id))
  }

  /**
   * Stops what runs on the volume and destroys it; absent already is fine. IN_USE while snapshots of it stand: then only the Postgres is gone.
   *
   * @param isClone it was a clone's alone: nothing has ever made a cluster in it, and no processes are looked for that might
   */
  async destroyVolume(id: VolumeId, { isClone = false } = {}): Promise<void> {
    await this.#volumes.destroy(id, { isClone })
  }

  /**
   * A state of a running clone, as it is after a CHECKPOINT. It is consistent as after a crash, so no one should clone it but
   * `recoverSnapshot`. Where the driver's snapshots are not atomic, the Postgres is stopped for it and started again.
   */
  async snapshotRunning(clone: Omit<CloneSpec, 'from'>, snapshotId: string, labels?: Labels): Promise<void> {
    const instance = await this.runtime.inspect(clone.volumeId)
    if (instance?.state !== 'running')
      throw new ProvisionError('NOT_FOUND', `no Postgres runs on volume ${clone.volumeId}`)
    await this.#volumes.noticingSpace(clone.volumeId, () => this.#snapshotRunning(instance, clone, snapshotId, labels))
  }

  async #snapshotRunning(
    instance: Instance,
    clone: Omit<CloneSpec, 'from'>,
    snapshotId: string,
    labels: Labels | undefined,
  ): Promise<void> {
    await withLabConnection(instance, LAB_DATABASE, (client) => client.query('CHECKPOINT'))
    await failPoint('snapshot.checkpointed')
    if (this.storage.capabilities.atomicSnapshot) {
      await this.storage.snapshot(clone.volumeId, snapshotId, labels)
      return
    }
    await using undo = new AsyncDisposableStack()
    try {
      await this.runtime.stop(clone.volumeId, 'clean')
      await this.storage.snapshot(clone.volumeId, snapshotId, labels)
      undo.defer(() => this.storage.destroySnapshot({ volumeId: clone.volumeId, snapshotId }))
    } finally {
      await this.startClone(clone)
    }
    undo.move()
  }

  /** See `Bases.create`. */
  createBase(spec: BaseSpec, fill: (instance: Instance) => Promise<void>, signal?: AbortSignal): Promise<ClusterFacts> {
    return this.#bases.create(spec, fill, signal)
  }

  /** See `Adoptions.adopt`. */
  adoptBase(spec: AdoptSpec, steps: AdoptSteps): Promise<AdoptedFacts> {
    return this.#adoptions.adopt(spec, steps)
  }

  /** See `Adoptions.adoptSnapshot`. */
  adoptSnapshot(
    from: SnapshotRef,
    spec: AdoptSpec & { snapshotId?: string },
    steps?: Omit<AdoptSteps, 'bring'>,
  ): Promise<AdoptedFacts & { sizeBytes: number }> {
    return this.#adoptions.adoptSnapshot(from, spec, steps)
  }

  /** See `Bases.keepPlanSettings`. */
  keepPlanSettings(volumeId: VolumeId, settings: Readonly<Record<string, string>>): Promise<string[]> {
    return this.#bases.keepPlanSettings(volumeId, settings)
  }

  /** See `Bases.snapshot`. */
  snapshotStopped(volumeId: VolumeId, snapshotId: string, labels?: Labels): Promise<{ sizeBytes: number }> {
    return this.#bases.snapshot(volumeId, snapshotId, labels)
  }

  /** See `Bases.recover`. */
  recoverSnapshot(from: SnapshotRef, scratch: ScratchSpec): Promise<ClusterFacts & { sizeBytes: number }> {
    return this.#bases.recover(from, scratch)
  }

  #cloneVolume({ from, volumeId, labels }: Pick<CloneSpec, 'from' | 'volumeId' | 'labels'>): Promise<Volume> {
    const quotaBytes = this.storage.capabilities.quota ? this.#options.quotaBytes : undefined
    return this.storage.clone(from, volumeId, labels, { quotaBytes })
  }
}
