import { chmod, chown } from 'node:fs/promises'
import { join } from 'node:path'
import { withCommandTimeout } from '../exec.ts'
import { isEmptyDirectory, makeDirectory, removeIfEmpty } from '../files.ts'
import { checkAccess, nearestExisting } from './access.ts'
import { Claims } from './claims.ts'
import type { StorageConfig, StoragePool } from './config.ts'
import type {
  CloneVolumeOptions,
  ForeignTree,
  Labels,
  PoolUsage,
  Snapshot,
  SnapshotRef,
  StorageDriver,
  Volume,
  VolumeId,
  VolumeUsage,
} from './driver.ts'
import { checkLabels, checkName, checkSnapshotRef, checkVolumeId, snapshotName } from './ids.ts'
import type { SnapshotLabel, VolumeLabel } from './label.ts'
import { inUse, noForeignTrees, noQuotas, notFound, reporting } from './report.ts'
import { PASSABLE, Shelf } from './shelf.ts'
import { logicalBytes } from './tree.ts'
import type { Trees } from './trees.ts'

export interface DirectoryConfig {
  labId: string
  /** Absolute. */
  root: string
  owner: { uid: number; gid: number }
  commandTimeoutMs?: number | undefined
}

/** For the account that owns it, and for none else. */
const PRIVATE = 0o700

/**
 * Keeps volumes in `root/volumes/<id>/{label.json,files}` and snapshots in `root/snapshots/<volume>@<snapshot>/{label.json,files}`.
 * `snapshots` is closed to everybody else, so that nothing writes to them.
 */
export class DirectoryDriver implements StorageDriver {
  readonly name: string
  readonly #config: DirectoryConfig
  readonly #trees: Trees
  readonly #volumes: Shelf<'volume'>
  readonly #snapshots: Shelf<'snapshot'>
  readonly #claims = new Claims()

  constructor(config: DirectoryConfig, trees: Trees) {
    this.name = trees.name
    this.#config = config
    this.#trees = trees
    const { labId, root } = config
    this.#volumes = new Shelf(join(root, 'volumes'), { kind: 'volume', labId, mode: PASSABLE, trees })
    this.#snapshots = new Shelf(join(root, 'snapshots'), { kind: 'snapshot', labId, mode: PRIVATE, trees })
  }

  get capabilities(): StorageDriver['capabilities'] {
    return this.#trees.capabilities
  }

  async check(): Promise<void> {
    await this.#reporting(`checking ${this.#config.root}`, async () => {
      await checkAccess(this.#config.root, this.#config.owner)
      await this.#trees.check(await nearestExisting(this.#config.root))
    })
  }

  async open(): Promise<void> {
    await this.#reporting(`opening ${this.#config.root}`, async () => {
      await makeDirectory(this.#config.root, PASSABLE)
      await this.#volumes.open()
      await this.#snapshots.open()
      await this.#trees.open?.(this.#config.root)
    })
  }

  async usage(): Promise<PoolUsage> {
    return this.#reporting('reading the usage of the pool', () => this.#trees.poolUsage(this.#config.root))
  }

  async freeBytes(): Promise<number> {
    return this.#reporting('reading what is free in the pool', () => this.#trees.freeBytes(this.#config.root))
  }

  async untilFreed(signal?: AbortSignal): Promise<void> {
    await this.#reporting('waiting for the room that was given back', async () =>
      this.#trees.untilFreed?.(this.#config.root, signal),
    )
  }

  async createVolume(id: VolumeId, labels: Labels = {}): Promise<Volume> {
    checkVolumeId(id)
    checkLabels(labels)
    const label: VolumeLabel = { lab: this.#config.labId, kind: 'volume', id, origin: null, labels }
    await this.#reporting(`making the volume ${id}`, () =>
      this.#volumes.publish(label, (files) => this.#makeEmpty(files)),
    )
    return this.#volume(label)
  }

  async clone(
    from: SnapshotRef,
    id: VolumeId,
    labels: Labels = {},
    { quotaBytes }: CloneVolumeOptions = {},
  ): Promise<Volume> {
    checkSnapshotRef(from)
    checkVolumeId(id)
    checkLabels(labels)
    const { volumeId, snapshotId } = from
    const label: VolumeLabel = { lab: this.#config.labId, kind: 'volume', id, origin: { volumeId, snapshotId }, labels }
    await this.#reporting(`cloning ${snapshotName(from)} as ${id}`, async () => {
      const source = snapshotName(from)
      using _claim = this.#claims.share(source)
      if (!(await this.#snapshots.find(source))) throw notFound('snapshot', source)
      if (quotaBytes !== undefined && !this.capabilities.quota) throw noQuotas(this.name)
      const fill = async (files: string) => {
        await this.#trees.clone(this.#snapshots.files(source), files, 'volume')
        if (quotaBytes !== undefined) await this.#trees.limit?.(files, quotaBytes)
      }
      await this.#volumes.publish(label, fill, this.#trees.settle)
    })
    return this.#volume(label)
  }

  async listForeign(name: string): Promise<ForeignTree[]> {
    return this.#reporting(`looking for ${name}`, () => this.#foreign.list(name, this.#config.root))
  }

  async cloneForeign(name: string, id: VolumeId, labels: Labels = {}): Promise<Volume> {
    checkVolumeId(id)
    checkLabels(labels)
    const label: VolumeLabel = { lab: this.#config.labId, kind: 'volume', id, origin: null, labels }
    await this.#reporting(`cloning ${name} as ${id}`, () =>
      this.#volumes.publish(label, async (files) => {
        await this.#foreign.clone(name, files, this.#config.root)
        await this.#giveTop(files)
      }),
    )
    return this.#volume(label)
  }

  async listVolumes(): Promise<Volume[]> {
    const labels = await this.#reporting('listing the volumes', () => this.#volumes.list())
    return labels.map((label) => this.#volume(label))
  }

  async findVolume(id: VolumeId): Promise<Volume | undefined> {
    checkVolumeId(id)
    const label = await this.#reporting(`looking for the volume ${id}`, () => this.#volumes.find(id))
    return label && this.#volume(label)
  }

  async relabel(what: VolumeId | SnapshotRef, labels: Labels): Promise<void> {
    const name = checkName(what)
    checkLabels(labels)
    await this.#reporting(`labelling ${name}`, async () => {
      if (typeof what === 'string') {
        const label = await this.#volumes.find(name)
        if (!label) throw notFound('volume', name)
        await this.#volumes.relabel({ ...label, labels })
      } else {
        const label = await this.#snapshots.find(name)
        if (!label) throw notFound('snapshot', name)
        await this.#snapshots.relabel({ ...label, labels })
      }
    })
  }

  async volumeUsage(id: VolumeId, signal?: AbortSignal): Promise<VolumeUsage> {
    checkVolumeId(id)
    return this.#reporting(`reading the usage of the volume ${id}`, async () => {
      if (!(await this.#volumes.find(id))) throw notFound('volume', id)
      return this.#trees.usage(this.#volumes.files(id), signal)
    })
  }

  async logicalBytes(id: VolumeId): Promise<number> {
    checkVolumeId(id)
    return this.#reporting(`reading the size of the volume ${id}`, async () => {
      if (!(await this.#volumes.find(id))) throw notFound('volume', id)
      return logicalBytes(this.#volumes.files(id))
    })
  }

  async destroyVolume(id: VolumeId): Promise<void> {
    checkVolumeId(id)
    await this.#reporting(`destroying the volume ${id}`, async () => {
      using _claim = this.#claims.exclude(id)
      const label = await this.#volumes.find(id)
      if (!label) return this.#volumes.sweep()
      const snapshots = (await this.#snapshots.list()).filter((snapshot) => snapshot.volumeId === id)
      if (snapshots.length > 0) throw inUse(`the volume ${id}`, snapshots.map(snapshotName))
      await this.#volumes.retire(label)
    })
  }

  async snapshot(of: VolumeId, snapshotId: string, labels: Labels = {}): Promise<Snapshot> {
    const ref = { volumeId: of, snapshotId }
    checkSnapshotRef(ref)
    checkLabels(labels)
    const label: SnapshotLabel = { lab: this.#config.labId, kind: 'snapshot', ...ref, labels }
    await this.#reporting(`taking the snapshot ${snapshotName(ref)}`, async () => {
      using _claim = this.#claims.share(of)
      if (!(await this.#volumes.find(of))) throw notFound('volume', of)
      const fill = (files: string) => this.#trees.clone(this.#volumes.files(of), files, 'snapshot')
      await this.#snapshots.publish(label, fill, this.#trees.settle)
    })
    return { ...ref, labels }
  }

  async listSnapshots(): Promise<Snapshot[]> {
    const found = await this.#reporting('listing the snapshots', () => this.#snapshots.list())
    return found.map(({ volumeId, snapshotId, labels }) => ({ volumeId, snapshotId, labels }))
  }

  async destroySnapshot(ref: SnapshotRef): Promise<void> {
    checkSnapshotRef(ref)
    const name = snapshotName(ref)
    await this.#reporting(`destroying the snapshot ${name}`, async () => {
      using _claim = this.#claims.exclude(name)
      const label = await this.#snapshots.find(name)
      if (!label) return this.#snapshots.sweep()
      const clones = (await this.#volumes.list()).filter(({ origin }) => origin && snapshotName(origin) === name)
      const ids = clones.map((clone) => clone.id)
      if (ids.length > 0) throw inUse(`the snapshot ${name}`, ids)
      await this.#snapshots.retire(label)
    })
  }

  /** Removes the two directories that `open` made, unless others keep something in either. */
  async removeLayout(): Promise<void> {
    await this.#reporting(`removing ${this.#config.root}`, async () => {
      const shelves = [this.#volumes.path, this.#snapshots.path]
      for (const shelf of shelves) if (!(await isEmptyDirectory(shelf))) return
      for (const shelf of shelves) await removeIfEmpty(shelf)
    })
  }

  async #makeEmpty(files: string): Promise<void> {
    await this.#trees.make(files)
    await this.#giveTop(files)
  }

  async #giveTop(files: string): Promise<void> {
    await chown(files, this.#config.owner.uid, this.#config.owner.gid)
    await chmod(files, PRIVATE)
  }

  get #foreign(): NonNullable<Trees['foreign']> {
    if (!this.#trees.foreign) throw noForeignTrees(this.name)
    return this.#trees.foreign
  }

  #volume({ id, origin, labels }: VolumeLabel): Volume {
    return { id, path: this.#volumes.files(id), origin: origin ?? undefined, labels }
  }

  #reporting<T>(doing: string, work: () => Promise<T>): Promise<T> {
    const explain = this.#trees.explain?.bind(this.#trees)
    return reporting(doing, () => withCommandTimeout(this.#config.commandTimeoutMs, work), explain)
  }
}

/** A pool in the root directory itself: nothing to attach, and none of it is ours to give back. */
export async function openDirectory(config: StorageConfig, trees: Trees): Promise<StoragePool> {
  const driver = new DirectoryDriver(config, trees)
  await driver.check()
  await driver.open()
  return { driver, embedded: false, detach: async () => {}, remove: () => driver.removeLayout() }
}
