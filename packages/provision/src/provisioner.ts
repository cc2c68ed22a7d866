import { chown, mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { ProvisionError } from './errors.ts'
import { prepareBase } from './postgres/base.ts'
import { clusterMajor, isShutDownCleanly } from './postgres/cluster.ts'
import { withLabConnection } from './postgres/connect.ts'
import { labSettings } from './postgres/lab-settings.ts'
import { LAB_DATABASE } from './postgres/names.ts'
import { probeLogin } from './postgres/ready.ts'
import { setUpUser } from './postgres/roles.ts'
import type { Instance, PostgresRuntime } from './postgres/runtime.ts'
import type { Labels, SnapshotRef, StorageDriver, Volume, VolumeId } from './storage/driver.ts'

/** Who may log in to a clone, and where. */
export interface Login {
  username: string
  /** The database that the login is for; there already, in the snapshot. */
  database: string
  /** SCRAM-SHA-256, as Postgres stores it. */
  verifier: string
  /** Where it is still at hand, the login is tried with it before the clone is called ready. */
  password?: string | undefined
}

export interface CloneSpec {
  /** Of the volume to be made. */
  volumeId: VolumeId
  from: SnapshotRef
  port: number
  login: Login
  labels?: Labels
}

/** What a creation is at, in this order. */
export type CloneStep = 'volume' | 'postgres' | 'user' | 'login'

export interface CloneOptions {
  signal?: AbortSignal | undefined
  onStep?: (step: CloneStep) => void
}

export interface ProvisionerOptions {
  storage: StorageDriver
  runtime: PostgresRuntime
  /** Address that clones listen on. */
  host: string
  /** Postgres settings of every clone, over the lab's defaults. */
  settings: Readonly<Record<string, string>>
  /** Let a clone's user be one of the data's own superusers. */
  allowSuperusers: boolean
}

/** A database of the cluster, and what the lab must know of a snapshot before it hands out clones. */
export interface ClusterFacts {
  databases: string[]
  postgresVersion: number
}

/**
 * Joins storage, Postgres and port to a clone. Keeps no state: what exists is in the storage and the process table, what should is
 * its caller's to know. Each method undoes what it did when it fails; the caller keeps one volume to one call.
 */
export class Provisioner {
  readonly storage: StorageDriver
  readonly runtime: PostgresRuntime
  readonly #options: ProvisionerOptions

  constructor(options: ProvisionerOptions) {
    this.storage = options.storage
    this.runtime = options.runtime
    this.#options = options
  }

  /** A new volume of the snapshot with a running Postgres that takes the login. Ready when this resolves. */
  async createClone(spec: CloneSpec, options: CloneOptions = {}): Promise<void> {
    await using undo = new AsyncDisposableStack()
    options.onStep?.('volume')
    const volume = await this.storage.clone(spec.from, spec.volumeId, spec.labels)
    undo.defer(() => this.destroyVolume(spec.volumeId))
    options.signal?.throwIfAborted()
    await this.#startForUser(volume, spec, options)
    undo.move()
  }

  /**
   * The data of `spec.from` under a new volume, at the same port with the same login, in place of `old`. The old instance is stopped,
   * its volume stands: the caller retires it once its own books say so. After a failure the old instance runs again, unless `keepOld` is
   * false, for data that nobody should use, or the signal has asked to stop.
   */
  async resetClone(
    old: VolumeId,
    spec: CloneSpec,
    options: CloneOptions & { keepOld?: boolean | undefined } = {},
  ): Promise<void> {
    await using undo = new AsyncDisposableStack()
    options.onStep?.('volume')
    const volume = await this.storage.clone(spec.from, spec.volumeId, spec.labels)
    undo.defer(() => this.destroyVolume(spec.volumeId))
    options.signal?.throwIfAborted()
    undo.defer(async () => {
      if (options.keepOld !== false && !options.signal?.aborted) await this.startClone({ ...spec, volumeId: old })
    })
    // At once: should the undo start it again, its recovery brings back all that was committed, but for what is in UNLOGGED tables.
    await this.runtime.stop(old, 'immediate')
    // The undo of a half-started instance comes before the old one's start: both want the port.
    undo.defer(() => this.runtime.remove(spec.volumeId))
    await this.#startForUser(volume, spec, options)
    undo.move()
  }

  /**
   * Starts the Postgres of a clone's volume again, on its port: after a reboot of the host, a stop, or a crash. The login is in the data
   * already, and is left as it is: what its user changed in the database must not keep it from coming up.
   */
  async startClone(spec: Omit<CloneSpec, 'from'>, { signal }: CloneOptions = {}): Promise<void> {
    const { id, path } = await this.#volume(spec.volumeId)
    const dataDir = dataDirOf({ path })
    const { host } = this.#options
    const settings = await this.#settings(dataDir)
    await this.runtime.start(
      { id, dataDir, host, port: spec.port, database: LAB_DATABASE, users: [spec.login.username], settings },
      { signal, timeoutMs: RECOVERY_TIMEOUT_MS },
    )
  }

  /** True when a Postgres that is started on the volume needs no recovery. */
  async isShutDownCleanly(id: VolumeId): Promise<boolean> {
    return isShutDownCleanly(dataDirOf(await this.#volume(id)))
  }

  /** Stops what runs on the volume and destroys it; absent already is fine. IN_USE while snapshots of it stand: then only the Postgres is gone. */
  async destroyVolume(id: VolumeId): Promise<void> {
    await this.runtime.remove(id)
    await this.storage.destroyVolume(id)
  }

  /**
   * An empty cluster in a new volume, run without a port for `fill`, made ready for clones, and shut down cleanly. The volume goes if
   * anything fails.
   *
   * @param loginRoles who may come over TCP on `port` while it is filled
   */
  async createBase(
    spec: { volumeId: VolumeId; database: string; port: number; loginRoles?: string[]; labels?: Labels },
    fill: (instance: Instance) => Promise<void>,
    signal?: AbortSignal,
  ): Promise<ClusterFacts> {
    await using undo = new AsyncDisposableStack()
    const volume = await this.storage.createVolume(spec.volumeId, spec.labels)
    undo.defer(() => this.destroyVolume(spec.volumeId))
    const dataDir = dataDirOf(volume)
    await mkdir(dataDir, { mode: 0o700 })
    if (process.getuid?.() === 0) await chown(dataDir, this.runtime.account.uid, this.runtime.account.gid)
    await this.runtime.initialise(dataDir, signal)
    const instance = await this.runtime.start(
      {
        id: spec.volumeId,
        dataDir,
        host: spec.loginRoles?.length ? '127.0.0.1' : '',
        port: spec.port,
        users: spec.loginRoles ?? [],
        // The clones' own, so that one that Postgres refuses is seen now, and not at every clone.
        settings: { ...this.#options.settings, ...BULK_LOAD_SETTINGS },
      },
      { signal },
    )
    await fill(instance)
    signal?.throwIfAborted()
    await prepareBase(instance, { database: spec.database, signal })
    const facts = await readFacts(instance, dataDir)
    await this.#stopCleanly(spec.volumeId, dataDir)
    await this.runtime.remove(spec.volumeId)
    undo.move()
    return facts
  }

  /** A snapshot of a volume on which nothing runs and that was shut down cleanly, such as a base. */
  async snapshotStopped(volumeId: VolumeId, snapshotId: string, labels?: Labels): Promise<{ sizeBytes: number }> {
    const volume = await this.#volume(volumeId)
    if ((await this.runtime.inspect(volumeId))?.state === 'running') {
      throw new ProvisionError('IN_USE', `a Postgres runs on volume ${volumeId}`, { users: [volumeId] })
    }
    if (!(await isShutDownCleanly(dataDirOf(volume)))) {
      throw new ProvisionError('FAILED', `the Postgres of volume ${volumeId} was not shut down cleanly`)
    }
    await this.storage.snapshot(volumeId, snapshotId, labels)
    return { sizeBytes: (await this.storage.volumeUsage(volumeId)).logicalBytes }
  }

  /**
   * A state of a running clone, as it is after a CHECKPOINT. It is consistent as after a crash, so no one should clone it but
   * `recoverSnapshot`. Where the driver's snapshots are not atomic, the Postgres is stopped for it and started again.
   */
  async snapshotRunning(clone: Omit<CloneSpec, 'from'>, snapshotId: string, labels?: Labels): Promise<void> {
    const instance = await this.runtime.inspect(clone.volumeId)
    if (instance?.state !== 'running')
      throw new ProvisionError('NOT_FOUND', `no Postgres runs on volume ${clone.volumeId}`)
    await withLabConnection(instance, LAB_DATABASE, (client) => client.query('CHECKPOINT'))
    if (this.storage.capabilities.atomicSnapshot) {
      await this.storage.snapshot(clone.volumeId, snapshotId, labels)
      return
    }
    try {
      await this.runtime.stop(clone.volumeId, 'clean')
      await this.storage.snapshot(clone.volumeId, snapshotId, labels)
    } finally {
      await this.startClone(clone)
    }
  }

  /**
   * What users may clone of a crash-consistent snapshot: a scratch volume of it, recovered once, its objects handed to the role that
   * every clone's user is a member of, shut down cleanly, and snapshotted. The scratch volume stands under the new snapshot.
   */
  async recoverSnapshot(
    from: SnapshotRef,
    scratch: {
      volumeId: VolumeId
      snapshotId: string
      database: string
      labels?: Labels
      signal?: AbortSignal
    },
  ): Promise<ClusterFacts & { sizeBytes: number }> {
    await using undo = new AsyncDisposableStack()
    const { signal } = scratch
    const volume = await this.storage.clone(from, scratch.volumeId, scratch.labels)
    undo.defer(() => this.destroyVolume(scratch.volumeId))
    const dataDir = dataDirOf(volume)
    const settings = await this.#settings(dataDir)
    const instance = await this.runtime.start(
      { id: scratch.volumeId, dataDir, host: '', port: SOCKET_ONLY_PORT, users: [], settings },
      { signal, timeoutMs: RECOVERY_TIMEOUT_MS },
    )
    const facts = await readFacts(instance, dataDir)
    for (const database of facts.databases) await prepareBase(instance, { database, signal })
    await this.#stopCleanly(scratch.volumeId, dataDir)
    await this.runtime.remove(scratch.volumeId)
    const { sizeBytes } = await this.snapshotStopped(scratch.volumeId, scratch.snapshotId, scratch.labels)
    undo.move()
    return { ...facts, sizeBytes }
  }

  /** Starts Postgres on the volume, gives the user the login, and sees that it works. Nothing runs after a failure. */
  async #startForUser(volume: Volume, spec: Omit<CloneSpec, 'from'>, { signal, onStep }: CloneOptions): Promise<void> {
    const { host, allowSuperusers } = this.#options
    const dataDir = dataDirOf(volume)
    const settings = await this.#settings(dataDir)
    const { login, port } = spec
    await using undo = new AsyncDisposableStack()
    onStep?.('postgres')
    const instance = await this.runtime.start(
      { id: volume.id, dataDir, host, port, database: login.database, users: [login.username], settings },
      { signal },
    )
    undo.defer(() => this.runtime.stop(volume.id, 'immediate'))
    onStep?.('user')
    await setUpUser(instance, { ...login, allowSuperuser: allowSuperusers }, signal)
    onStep?.('login')
    await probeLogin({ host: reachableAddress(host), port, ...login }, { signal })
    undo.move()
  }

  async #stopCleanly(id: VolumeId, dataDir: string): Promise<void> {
    await this.runtime.stop(id, 'clean')
    if (!(await isShutDownCleanly(dataDir))) {
      throw new ProvisionError('FAILED', `Postgres on volume ${id} did not shut down cleanly`, {
        hint: "Its log's last lines say why; a full disk is the usual reason",
      })
    }
  }

  async #settings(dataDir: string): Promise<Record<string, string>> {
    return { ...labSettings(await clusterMajor(dataDir)), ...this.#options.settings }
  }

  async #volume(id: VolumeId): Promise<Volume> {
    const volume = (await this.storage.listVolumes()).find((candidate) => candidate.id === id)
    if (!volume) throw new ProvisionError('NOT_FOUND', `there is no volume ${id} in the pool`)
    return volume
  }
}

/** Names the socket of an instance that listens nowhere else; its directory is its own, so nobody else's is in the way. */
const SOCKET_ONLY_PORT = 5432

/** Recovery replays at most what a clone wrote between two checkpoints, but that may be much. */
const RECOVERY_TIMEOUT_MS = 15 * 60_000

/** A base that is being filled can be thrown away, and ends with a clean shutdown that writes everything out. */
const BULK_LOAD_SETTINGS = {
  shared_buffers: '256MB',
  maintenance_work_mem: '256MB',
  max_wal_size: '4GB',
  checkpoint_timeout: '30min',
  wal_level: 'minimal',
  max_wal_senders: '0',
  full_page_writes: 'off',
  fsync: 'on',
  synchronous_commit: 'off',
  autovacuum: 'off',
  jit: 'off',
} as const

/** The cluster lies one level below the volume's root, which may hold other things beside it. */
export function dataDirOf(volume: Pick<Volume, 'path'>): string {
  return join(volume.path, 'data')
}

async function readFacts(instance: Instance, dataDir: string): Promise<ClusterFacts> {
  const databases = await withLabConnection(instance, LAB_DATABASE, async (client) => {
    const { rows } = await client.query<{ datname: string }>(
      'SELECT datname FROM pg_database WHERE datallowconn AND NOT datistemplate AND datname <> $1 ORDER BY datname',
      [LAB_DATABASE],
    )
    return rows.map((row) => row.datname)
  })
  return { databases, postgresVersion: await clusterMajor(dataDir) }
}

/** Where the server itself reaches what listens on `host`: an address for "all" is none to connect to. */
function reachableAddress(host: string): string {
  if (host === '0.0.0.0' || host === '*') return '127.0.0.1'
  return host === '::' ? '::1' : host
}
