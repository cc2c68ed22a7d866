import { join } from 'node:path'
import {
  BULK_LOAD_SETTINGS,
  type ClusterFacts,
  prepareAll,
  readFacts,
  SOCKET_ONLY_PORT,
  stopCleanly,
} from '../base-steps.ts'
import type { ClusterVolumes } from '../cluster-volumes.ts'
import { failPoint } from '../faults/faults.ts'
import { flushTellsFailures, syncFileSystem } from '../files.ts'
import { clusterControl, clusterMajor } from '../postgres/cluster.ts'
import type { ControlData, SourceSettings } from '../postgres/control-file.ts'
import type { Instance, RecoveryProgress } from '../postgres/runtime.ts'
import { vacuumSystemCatalogs } from '../postgres/system-catalogs.ts'
import type { Labels, SnapshotRef, Volume, VolumeId } from '../storage/driver.ts'
import { AccountFiles } from './account-files.ts'
import {
  type ArrivedCluster,
  type Bringing,
  bringInto,
  type FileKnowledge,
  type SourceKnowledge,
  takeIn,
} from './arrival.ts'
import { type CollationMismatch, collationMismatches, noticingLocales } from './collations.ts'
import { databasesOf, noticingNames, resetPreloads, restoreFlags } from './databases.ts'
import type { KeptSettings } from './kept-settings.ts'
import { verifyTablespaceLinks } from './links.ts'
import { type MovedIn, moveIn } from './moving-in.ts'
import { type Places, placesIn } from './places.ts'
import { removeTracesOfRecovery } from './quarantine.ts'
import {
  explainRecovery,
  notBelow,
  type RecoveryKind,
  type RecoveryOutcome,
  type RecoverySpec,
  recoveryKind,
  recoveryOutcome,
  recoverySettings,
  roomForOrigins,
} from './recovery.ts'
import { type ForeignOrigin, settle } from './settling.ts'

/** More than a server writes while it starts; the words that tell where it has ended are among its last. */
const LOG_LINES = 1000

export interface AdoptSpec extends SourceKnowledge {
  /** Of the volume to be made. */
  volumeId: VolumeId
  labels?: Labels
  /** What the volume begins with, if not with nothing. */
  foreign?: ForeignOrigin
  /** By where the cluster is, if that matters to it. */
  recovery?: RecoverySpec | ((places: Places) => RecoverySpec)
  /** Over the lab's, while the data is recovered and made ready. */
  settings?: Readonly<Record<string, string>>
}

export interface AdoptSteps extends Bringing {
  /**
   * Work on the recovered data before anybody can clone it. Nothing of the data runs by itself any more: no event triggers, no superusers
   * and no logins of its own.
   *
   * @returns whether it may have made anything: all of that is then handed over to the owner role, as what was there before is
   */
  prepare?: ((instance: Instance, databases: AdoptedDatabases) => Promise<boolean>) | undefined
  onProgress?: ((progress: RecoveryProgress) => void) | undefined
}

export interface AdoptedDatabases {
  /** Those that one can connect to, templates left out: what a clone's user sees. */
  open: readonly string[]
  /** Closed ones and templates too, which a clone's user can open or make a copy of. */
  all: readonly string[]
}

/** What was adopted, as far as a caller may have to tell somebody. */
export interface AdoptedFacts extends ClusterFacts, MovedIn, KeptSettings, FileKnowledge {
  /** How it came to be consistent, and what it stands at. */
  recovery: RecoveryOutcome & { kind: RecoveryKind }
  /** Names at the top of the data directory that went: settings, logs, what is not known. */
  removed: string[]
  collations: CollationMismatch[]
}

/** Bases of clusters that come from elsewhere, file by file: a base backup, a restored one, a copy of a data directory, a standby's. */
export class Adoptions {
  readonly #volumes: ClusterVolumes
  readonly #preparing: { keepSuperusers: boolean; timeoutMs: number }
  readonly #files: AccountFiles

  /** @param keepSuperusers see `BaseOptions` */
  constructor(volumes: ClusterVolumes, keepSuperusers: boolean) {
    this.#volumes = volumes
    this.#preparing = { keepSuperusers, timeoutMs: volumes.deadlines.recoveryMs }
    this.#files = new AccountFiles(volumes.runtime.account)
  }

  /**
   * A cluster that `bring` puts into a new volume: quarantined before it first starts, recovered, made ready for clones, and shut down
   * cleanly. The volume goes if anything fails.
   *
   * @throws ProvisionError INVALID for what is no whole cluster, or none that the lab can have; NOT_FOUND where nothing was brought;
   * UNAVAILABLE without binaries of its major; TIMEOUT where its recovery does not get on; ABORTED, NO_SPACE, FAILED
   */
  async adopt(spec: AdoptSpec, steps: AdoptSteps): Promise<AdoptedFacts> {
    await using undo = new AsyncDisposableStack()
    const volume = await this.#makeVolume(spec)
    undo.defer(() => this.#volumes.destroy(spec.volumeId))
    await failPoint('adopt.volume-made')
    const places = placesIn(volume)
    if (spec.foreign) await settle(places, spec.foreign, this.#volumes.runtime.account, this.#files)
    await bringInto(places, this.#files, steps)
    await failPoint('adopt.brought')
    // What was brought goes to the disk while servers work on it that wait for none of their own files: see docs/decisions/physical-copies.md.
    const { signal } = steps
    const flush = () => syncFileSystem(places.volumePath, { signal, timeoutMs: this.#volumes.deadlines.recoveryMs })
    const fsync = flushTellsFailures() ? 'off' : 'on'
    const flushing = flush()
    // It holds the volume, which goes after it. That it failed is told where it is awaited.
    const ended = flushing.catch(() => undefined)
    undo.defer(() => ended)
    const facts = await this.#volumes.noticingSpace(volume.id, async () => {
      const taken = await this.#takeOver(volume, { ...spec, settings: { ...spec.settings, fsync } }, steps)
      await flushing
      await flush()
      return taken
    })
    await this.#volumes.runtime.remove(volume.id)
    undo.move()
    return facts
  }

  #makeVolume({ foreign, volumeId, labels }: AdoptSpec): Promise<Volume> {
    const { storage } = this.#volumes
    return foreign ? storage.cloneForeign(foreign.name, volumeId, labels) : storage.createVolume(volumeId, labels)
  }

  /**
   * The same of what a snapshot holds of a standby, in a new volume, of which a snapshot is made in turn where it is named. The timeline is a new one. Both go
   * if anything fails; the standby is not touched.
   */
  async adoptSnapshot(
    from: SnapshotRef,
    spec: AdoptSpec & { snapshotId?: string },
    steps: Omit<AdoptSteps, 'bring'> = {},
  ): Promise<AdoptedFacts & { sizeBytes: number }> {
    await using undo = new AsyncDisposableStack()
    const { storage, runtime } = this.#volumes
    const volume = await storage.clone(from, spec.volumeId, spec.labels)
    undo.defer(() => this.#volumes.destroy(spec.volumeId))
    await failPoint('adopt.cloned')
    const facts = await this.#volumes.noticingSpace(volume.id, () => this.#takeOver(volume, spec, steps))
    await runtime.remove(volume.id)
    const { snapshotId } = spec
    if (snapshotId !== undefined) {
      await storage.snapshot(volume.id, snapshotId, spec.labels)
      undo.defer(() => storage.destroySnapshot({ volumeId: volume.id, snapshotId }))
    }
    const sizeBytes = await storage.logicalBytes(volume.id)
    undo.move()
    return { ...facts, sizeBytes }
  }

  async #takeOver(volume: Volume, spec: AdoptSpec, steps: Omit<AdoptSteps, 'bring'>): Promise<AdoptedFacts> {
    const { runtime, settings } = this.#volumes
    const places = placesIn(volume)
    const arrived = await takeIn(places, this.#volumes, this.#files, spec.settingsOfSource)
    const { removed, kept, notKept, settingsOfFiles, ...cluster } = arrived
    await failPoint('adopt.quarantined')
    const recovery = await this.#recover(volume.id, places, cluster, spec, steps)
    await failPoint('adopt.recovered')
    const needed = {
      ...notBelow(neededToReplay(cluster.control), settings),
      ...roomForOrigins(cluster.major),
      ...spec.settings,
    }
    const moved = await noticingLocales(() => moveIn(runtime, places.dataDir, needed, steps.signal))
    await failPoint('adopt.moved-in')
    const ready = await noticingLocales(() => this.#makeReady(volume.id, places.dataDir, spec, steps))
    return { ...ready, ...moved, recovery, removed, kept, notKept, settingsOfFiles }
  }

  async #recover(
    id: VolumeId,
    places: Places,
    { control: before, major, hasBackupLabel }: ArrivedCluster,
    spec: AdoptSpec,
    { signal, onProgress }: Omit<AdoptSteps, 'bring'>,
  ): Promise<AdoptedFacts['recovery']> {
    const { dataDir } = places
    const recovery = typeof spec.recovery === 'function' ? spec.recovery(places) : (spec.recovery ?? {})
    const { runtime, deadlines } = this.#volumes
    const kind = recoveryKind(before.state, hasBackupLabel, recovery)
    if (kind === 'none') return { kind, ...recoveryOutcome([], before, before) }
    if (kind === 'archive') await this.#files.write(join(dataDir, 'recovery.signal'), '')
    const settings = {
      ...(await this.#settings(dataDir)),
      ...recoverySettings(recovery, dataDir, major),
      ...spec.settings,
    }
    const server = { id, dataDir, host: '', port: SOCKET_ONLY_PORT, users: [], closed: true }
    try {
      await runtime.start(
        { ...server, settings: notBelow(neededToReplay(before), settings) },
        { signal, stallMs: deadlines.recoveryMs, onProgress },
      )
    } catch (error) {
      throw explainRecovery(error)
    }
    await failPoint('adopt.replayed')
    const log = await runtime.logs(id, LOG_LINES)
    await stopCleanly(this.#volumes, id, dataDir)
    await removeTracesOfRecovery(dataDir, this.#files)
    await verifyTablespaceLinks(places)
    return { kind, ...recoveryOutcome(log, before, await clusterControl(dataDir)) }
  }

  async #makeReady(
    id: VolumeId,
    dataDir: string,
    { settings }: AdoptSpec,
    { prepare, signal }: Omit<AdoptSteps, 'bring'>,
  ): Promise<ClusterFacts & Pick<AdoptedFacts, 'collations'>> {
    const { runtime, deadlines } = this.#volumes
    const instance = await runtime.start(
      {
        ...{ id, dataDir, host: '', port: SOCKET_ONLY_PORT, users: [] },
        settings: { ...(await this.#settings(dataDir)), ...settings },
      },
      { signal, timeoutMs: deadlines.startMs },
    )
    await failPoint('adopt.started')
    const collations = await this.#prepare(instance, await clusterMajor(dataDir), { prepare, signal })
    await failPoint('adopt.prepared')
    const facts = await readFacts(instance, dataDir)
    await stopCleanly(this.#volumes, id, dataDir)
    await failPoint('adopt.shut-down')
    return { ...facts, collations }
  }

  async #prepare(
    instance: Instance,
    major: number,
    { prepare, signal }: Pick<AdoptSteps, 'prepare' | 'signal'>,
  ): Promise<CollationMismatch[]> {
    await resetPreloads(instance)
    const databases = await databasesOf(instance)
    const names = databases.map(({ name }) => name)
    await noticingNames(() => prepareAll(instance, names, { ...this.#preparing, signal }))
    await failPoint('adopt.disarmed')
    const collations = await collationMismatches(instance, major, names, signal)
    if (prepare) {
      const open = databases.filter(({ isTemplate, isOpen }) => isOpen && !isTemplate).map(({ name }) => name)
      const hasMade = await prepare(instance, { open, all: names })
      if (hasMade) {
        const after = (await databasesOf(instance)).map(({ name }) => name)
        await prepareAll(instance, after, { ...this.#preparing, signal })
      }
    }
    await vacuumSystemCatalogs(instance, signal)
    await restoreFlags(instance, databases)
    return collations
  }

  async #settings(dataDir: string): Promise<Record<string, string>> {
    return { ...(await this.#volumes.settingsOf(dataDir)), ...BULK_LOAD_SETTINGS }
  }
}

/** Nothing streams from the server that replays. */
function neededToReplay({ settings }: ControlData): Partial<SourceSettings> {
  const { max_wal_senders: _, ...needed } = settings
  return needed
}
