import { randomBytes } from 'node:crypto'
import { chmod, chown, readdir, rename, rm, rmdir } from 'node:fs/promises'
import { join } from 'node:path'
import { isSystemError, ProvisionError } from '../errors.ts'
import type { CommandError } from '../exec.ts'
import { checkAccess, nearestExisting } from './access.ts'
import { Claims } from './claims.ts'
import type {
  Labels,
  PoolUsage,
  Snapshot,
  SnapshotRef,
  StorageDriver,
  Volume,
  VolumeId,
  VolumeUsage,
} from './driver.ts'
import { checkLabels, checkSnapshotRef, checkVolumeId, isId, parseSnapshotName, snapshotName } from './ids.ts'
import { type Label, labelledName, readLabel, type SnapshotLabel, type VolumeLabel, writeLabel } from './label.ts'
import { exists, isEmptyDirectory, makeDirectory, removeIfEmpty, syncPath } from './paths.ts'
import { alreadyExists, inUse, notFound, reporting } from './report.ts'
import { forEachBounded } from './tree.ts'

/** What one file system can do with a file tree: all that a driver which keeps its volumes in a directory adds of its own. */
export interface Trees {
  readonly name: string
  readonly capabilities: StorageDriver['capabilities']
  /** Throws UNAVAILABLE when it can't work in this directory, which exists. */
  check(directory: string): Promise<void>
  /** Makes an empty tree. */
  make(path: string): Promise<void>
  /** Makes `to` a copy of the tree `from`. A snapshot is on disk when this resolves, and nobody will write to it. */
  clone(from: string, to: string, as: 'volume' | 'snapshot'): Promise<void>
  /** Removes a whole tree, or a part of one that `make` or `clone` left; absent is fine. */
  remove(path: string): Promise<void>
  usage(path: string): Promise<VolumeUsage>
  poolUsage(directory: string): Promise<PoolUsage>
  /** What the failure of a program that it ran means. */
  explain?(error: CommandError, doing: string): ProvisionError
}

export interface DirectoryConfig {
  labId: string
  /** Absolute. */
  root: string
  owner: { uid: number; gid: number }
}

/** Passable for the account that owns the trees, readable for none but ours. */
const PASSABLE = 0o711
const PRIVATE = 0o700

/**
 * Keeps volumes in `root/volumes/<id>/{label.json,files}` and snapshots in `root/snapshots/<volume>@<snapshot>/{label.json,files}`.
 *
 * A directory is made under a hidden name and published by one rename, and renamed back to a hidden name before it's removed: what is
 * listed is always whole, and what a crash leaves is known by its name. A directory without a sound label of this lab is someone
 * else's. `snapshots` is closed to everybody else, so that nothing writes to them.
 */
export class DirectoryDriver implements StorageDriver {
  readonly name: string
  readonly capabilities: StorageDriver['capabilities']
  readonly #config: DirectoryConfig
  readonly #trees: Trees
  readonly #volumes: string
  readonly #snapshots: string
  readonly #claims = new Claims()

  constructor(config: DirectoryConfig, trees: Trees) {
    this.name = trees.name
    this.capabilities = trees.capabilities
    this.#config = config
    this.#trees = trees
    this.#volumes = join(config.root, 'volumes')
    this.#snapshots = join(config.root, 'snapshots')
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
      await makeDirectory(this.#volumes, PASSABLE)
      await makeDirectory(this.#snapshots, PRIVATE)
      await this.#sweep()
    })
  }

  async usage(): Promise<PoolUsage> {
    return this.#reporting('reading the usage of the pool', () => this.#trees.poolUsage(this.#config.root))
  }

  async createVolume(id: VolumeId, labels: Labels = {}): Promise<Volume> {
    checkVolumeId(id)
    checkLabels(labels)
    const label: VolumeLabel = { lab: this.#config.labId, kind: 'volume', id, origin: null, labels }
    await this.#reporting(`making the volume ${id}`, () => this.#publish(label, (files) => this.#makeEmpty(files)))
    return this.#volume(label)
  }

  async clone(from: SnapshotRef, id: VolumeId, labels: Labels = {}): Promise<Volume> {
    checkSnapshotRef(from)
    checkVolumeId(id)
    checkLabels(labels)
    const { volumeId, snapshotId } = from
    const label: VolumeLabel = { lab: this.#config.labId, kind: 'volume', id, origin: { volumeId, snapshotId }, labels }
    await this.#reporting(`cloning ${snapshotName(from)} as ${id}`, async () => {
      using _claim = this.#claims.share(snapshotName(from))
      const source = join(this.#snapshots, snapshotName(from))
      if (!(await this.#ours(source, 'snapshot'))) throw notFound('snapshot', snapshotName(from))
      await this.#publish(label, (files) => this.#trees.clone(join(source, 'files'), files, 'volume'))
    })
    return this.#volume(label)
  }

  async listVolumes(): Promise<Volume[]> {
    const labels = await this.#reporting('listing the volumes', () => this.#list('volume'))
    return labels.map((label) => this.#volume(label))
  }

  async volumeUsage(id: VolumeId): Promise<VolumeUsage> {
    checkVolumeId(id)
    return this.#reporting(`reading the usage of the volume ${id}`, async () => {
      if (!(await this.#ours(join(this.#volumes, id), 'volume'))) throw notFound('volume', id)
      return this.#trees.usage(this.#files(id))
    })
  }

  async destroyVolume(id: VolumeId): Promise<void> {
    checkVolumeId(id)
    await this.#reporting(`destroying the volume ${id}`, async () => {
      using _claim = this.#claims.exclude(id)
      const label = await this.#ours(join(this.#volumes, id), 'volume')
      if (!label) return
      const snapshots = (await this.#list('snapshot')).filter((snapshot) => snapshot.volumeId === id)
      if (snapshots.length > 0) throw inUse(`the volume ${id}`, snapshots.map(snapshotName))
      await this.#retire(label)
    })
  }

  async snapshot(of: VolumeId, snapshotId: string, labels: Labels = {}): Promise<Snapshot> {
    const ref = { volumeId: of, snapshotId }
    checkSnapshotRef(ref)
    checkLabels(labels)
    const label: SnapshotLabel = { lab: this.#config.labId, kind: 'snapshot', ...ref, labels }
    await this.#reporting(`taking the snapshot ${snapshotName(ref)}`, async () => {
      using _claim = this.#claims.share(of)
      if (!(await this.#ours(join(this.#volumes, of), 'volume'))) throw notFound('volume', of)
      await this.#publish(label, (files) => this.#trees.clone(this.#files(of), files, 'snapshot'))
    })
    return { ...ref, labels }
  }

  async listSnapshots(): Promise<Snapshot[]> {
    const found = await this.#reporting('listing the snapshots', () => this.#list('snapshot'))
    return found.map(({ volumeId, snapshotId, labels }) => ({ volumeId, snapshotId, labels }))
  }

  async destroySnapshot(ref: SnapshotRef): Promise<void> {
    checkSnapshotRef(ref)
    const name = snapshotName(ref)
    await this.#reporting(`destroying the snapshot ${name}`, async () => {
      using _claim = this.#claims.exclude(name)
      const label = await this.#ours(join(this.#snapshots, name), 'snapshot')
      if (!label) return
      const clones = (await this.#list('volume')).filter(({ origin }) => origin && snapshotName(origin) === name)
      const ids = clones.map((clone) => clone.id)
      if (ids.length > 0) throw inUse(`the snapshot ${name}`, ids)
      await this.#retire(label)
    })
  }

  /** Removes the two directories that `open` made, unless others keep something in either. */
  async removeLayout(): Promise<void> {
    await this.#reporting(`removing ${this.#config.root}`, async () => {
      const shelves = [this.#volumes, this.#snapshots]
      for (const shelf of shelves) if (!(await isEmptyDirectory(shelf))) return
      for (const shelf of shelves) await removeIfEmpty(shelf)
    })
  }

  /** Makes the directory of this label whole or not at all. */
  async #publish(label: Label, fill: (files: string) => Promise<void>): Promise<void> {
    const shelf = this.#shelf(label.kind)
    const name = labelledName(label)
    const target = join(shelf, name)
    if (await exists(target)) throw alreadyExists(label.kind, name)
    let at = join(shelf, this.#hiddenName())
    await makeDirectory(at, PASSABLE)
    try {
      await writeLabel(at, label)
      await fill(join(at, 'files'))
      if (label.kind === 'snapshot') await syncPath(at)
      await rename(at, target)
      at = target
      if (label.kind === 'snapshot') await syncPath(shelf)
    } catch (error) {
      await this.#discardAfter(error, at)
      // Another call has published this name since we looked.
      if (at !== target && isSystemError(error, 'EEXIST', 'ENOTEMPTY', 'ENOTDIR') && (await exists(target))) {
        throw alreadyExists(label.kind, name)
      }
      throw error
    }
  }

  async #discardAfter(error: unknown, directory: string): Promise<void> {
    try {
      await this.#discard(directory)
    } catch (second) {
      const cause = new AggregateError([error, second], 'the work failed, and so did removing what it left')
      const hint = 'What is left is hidden, and removed when the pool is opened next.'
      throw new ProvisionError('FAILED', `a half-made directory could not be removed: ${directory}`, { cause, hint })
    }
  }

  async #retire(label: Label): Promise<void> {
    const shelf = this.#shelf(label.kind)
    const hidden = join(shelf, this.#hiddenName())
    await rename(join(shelf, labelledName(label)), hidden)
    await this.#discard(hidden)
  }

  /** Tries again when a program that a killed server had begun still adds to the directory. */
  async #discard(directory: string, attempts = 5): Promise<void> {
    await this.#trees.remove(join(directory, 'files'))
    await rm(join(directory, 'label.json'), { force: true })
    try {
      await rmdir(directory)
    } catch (error) {
      if (isSystemError(error, 'ENOENT')) return
      if (!isSystemError(error, 'ENOTEMPTY', 'EEXIST') || attempts <= 1) throw error
      await this.#discard(directory, attempts - 1)
    }
  }

  async #sweep(): Promise<void> {
    for (const shelf of [this.#volumes, this.#snapshots]) {
      const hidden = (await readdir(shelf)).filter((name) => name.startsWith(this.#hiddenPrefix()))
      for (const name of hidden) await this.#discard(join(shelf, name))
    }
  }

  #list(kind: 'volume'): Promise<VolumeLabel[]>
  #list(kind: 'snapshot'): Promise<SnapshotLabel[]>
  async #list(kind: Label['kind']): Promise<Label[]> {
    const shelf = this.#shelf(kind)
    const isName = kind === 'volume' ? isId : (name: string) => parseSnapshotName(name) !== undefined
    const found: Label[] = []
    await forEachBounded((await readdir(shelf)).filter(isName), async (name) => {
      const label = await this.#ours(join(shelf, name), kind)
      if (label) found.push(label)
    })
    return found.sort((a, b) => (labelledName(a) < labelledName(b) ? -1 : 1))
  }

  /** The label of this directory if it is a sound one of this lab and kind. */
  async #ours(directory: string, kind: Label['kind']): Promise<Label | undefined> {
    const label = await readLabel(directory)
    const sound =
      label?.lab === this.#config.labId && label.kind === kind && directory.endsWith(`/${labelledName(label)}`)
    return sound && (await exists(join(directory, 'files'))) ? label : undefined
  }

  async #makeEmpty(files: string): Promise<void> {
    await this.#trees.make(files)
    await chown(files, this.#config.owner.uid, this.#config.owner.gid)
    await chmod(files, PRIVATE)
  }

  #volume({ id, origin, labels }: VolumeLabel): Volume {
    return { id, path: this.#files(id), origin: origin ?? undefined, labels }
  }

  #files(id: VolumeId): string {
    return join(this.#volumes, id, 'files')
  }

  #shelf(kind: Label['kind']): string {
    return kind === 'volume' ? this.#volumes : this.#snapshots
  }

  /** No id begins with a dot; the lab's id is in it, since another lab may be at work in the same directory. */
  #hiddenPrefix(): string {
    return `.dblab~${this.#config.labId}~`
  }

  #hiddenName(): string {
    return `${this.#hiddenPrefix()}${randomBytes(8).toString('hex')}`
  }

  #reporting<T>(doing: string, work: () => Promise<T>): Promise<T> {
    return reporting(doing, work, this.#trees.explain?.bind(this.#trees))
  }
}
