import { randomUUID } from 'node:crypto'
import { chmod, chown, statfs } from 'node:fs/promises'
import { join } from 'node:path'
import { ProvisionError } from '../../errors.ts'
import { CommandError, withCommandTimeout } from '../../exec.ts'
import { checkPassable } from '../access.ts'
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
} from '../driver.ts'
import { checkLabels, checkName, checkSnapshotRef, checkVolumeId, parseSnapshotName, snapshotName } from '../ids.ts'
import { inUse, notFound, reporting } from '../report.ts'
import { clonesOf, dependentsOf, destroyDataset, getProperties, lookUp, zfs } from './commands.ts'
import { checkDataset, type ZfsConfig } from './dataset.ts'
import { codeOf, explainZfs } from './errors.ts'
import { checkForeign, listForeignSnapshots } from './foreign.ts'
import {
  CALL,
  KIND,
  type Kind,
  LABEL_PROPERTIES,
  type Label,
  labelOptions,
  labelsProperty,
  type OwnDataset,
  parseLabel,
} from './label.ts'
import { bytesOf, localPropertyOf, type Properties, parseProperties, propertyOf } from './output.ts'
import { poolUsage, untilFreed } from './usage.ts'

/** ZFS_SUPER_MAGIC: what statfs(2) says of every dataset. */
const MAGIC = 0x2fc12fc1

type OwnLabel = Omit<Label, 'lab'>

const VOLUME_FACTS: readonly string[] = ['origin', 'mounted', 'mountpoint']

/**
 * Datasets, snapshots and clones of OpenZFS. A volume is `<dataset>/<volumeId>`, a snapshot `<dataset>/<volumeId>@<snapshotId>`; what
 * they are is said by user properties (zfsprops(7)) that are set in the command that makes them.
 *
 * Nothing is ever destroyed recursively. Own bytes are `written`: what the volume holds beyond its latest snapshot or its origin.
 */
export class ZfsDriver implements StorageDriver {
  readonly name = 'zfs'
  readonly capabilities = {
    atomicSnapshot: true,
    ownBytes: true,
    sharesBlocks: true,
    quota: true,
    foreignTrees: true,
  } as const
  readonly #config: ZfsConfig
  /** Names that were seen to be ours. What we made stays ours as long as it is there, so a clone needn't ask again. */
  readonly #seen = new Set<string>()
  /** Where the dataset is mounted; known after `open`. */
  #mountPoint: string | undefined

  constructor(config: ZfsConfig) {
    this.#config = config
  }

  async check(): Promise<void> {
    await checkDataset(this.#config)
  }

  async open(): Promise<void> {
    await this.#reporting(`opening ${this.#config.dataset}`, async () => {
      const { mountPoint } = await checkDataset(this.#config)
      if (mountPoint === undefined) throw new ProvisionError('NOT_FOUND', `there is no dataset ${this.#config.dataset}`)
      this.#mountPoint = mountPoint
      for (const { name } of await this.#list('making')) await this.#destroy(name)
      await this.#mountAll()
      await checkPassable(mountPoint, this.#config.owner)
    })
  }

  async usage(): Promise<PoolUsage> {
    return this.#reporting('reading the usage of the pool', () => poolUsage(this.#config.dataset))
  }

  async freeBytes(): Promise<number> {
    return this.#reporting('reading what is free in the pool', async () => {
      const { type, bsize, bavail } = await statfs(this.#mountedAt)
      // Of a dataset it says what `zfs get available` does, quotas above it and all. One that is not mounted has another file system there.
      return type === MAGIC ? bavail * bsize : (await poolUsage(this.#config.dataset)).freeBytes
    })
  }

  async untilFreed(signal?: AbortSignal): Promise<void> {
    await this.#reporting('waiting for the room that was given back', () => untilFreed(this.#config.dataset, signal))
  }

  async createVolume(id: VolumeId, labels: Labels = {}): Promise<Volume> {
    checkVolumeId(id)
    checkLabels(labels)
    await this.#reporting(`making the volume ${id}`, () =>
      this.#make('create', { kind: 'making', id, labels }, [], () => this.#giveTop(id)),
    )
    return { id, path: this.#path(id), origin: undefined, labels }
  }

  async listForeign(name: string): Promise<ForeignTree[]> {
    return this.#reporting(`looking for ${name}`, () => listForeignSnapshots(name, this.#config.dataset))
  }

  async cloneForeign(name: string, id: VolumeId, labels: Labels = {}): Promise<Volume> {
    checkVolumeId(id)
    checkLabels(labels)
    await this.#reporting(`cloning ${name} as ${id}`, async () => {
      await checkForeign(name, this.#config.dataset)
      await this.#make('clone', { kind: 'making', id, labels }, [name], () => this.#giveTop(id))
    })
    return { id, path: this.#path(id), origin: undefined, labels }
  }

  async #giveTop(id: VolumeId): Promise<void> {
    await chown(this.#path(id), this.#config.owner.uid, this.#config.owner.gid)
    await chmod(this.#path(id), 0o700)
    await zfs('set', `${KIND}=volume`, this.#dataset(id))
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
    await this.#reporting(`cloning ${snapshotName(from)} as ${id}`, async () => {
      const source = this.#dataset(snapshotName(from))
      await this.#checkOurs(source, 'snapshot')
      // `quota` counts what the clone alone holds, with its snapshots; `refquota` would count what it shares as well.
      const bound = quotaBytes === undefined ? [] : ['-o', `quota=${quotaBytes}`]
      await this.#make('clone', { kind: 'volume', id, labels }, [...bound, source])
    })
    return { id, path: this.#path(id), origin: { volumeId, snapshotId }, labels }
  }

  async listVolumes(): Promise<Volume[]> {
    const found = await this.#reporting('listing the volumes', () => this.#list('volume'))
    return found.map((own) => this.#volume(own))
  }

  async findVolume(id: VolumeId): Promise<Volume | undefined> {
    checkVolumeId(id)
    return this.#reporting(`looking for the volume ${id}`, async () => {
      const own = await this.#find(this.#dataset(id), 'volume', VOLUME_FACTS)
      // Whoever asks is about to work in it, and would find an empty directory.
      if (own && propertyOf(own.properties, 'mounted') !== 'yes') await zfs('mount', own.name)
      return own && this.#volume(own)
    })
  }

  async relabel(what: VolumeId | SnapshotRef, labels: Labels): Promise<void> {
    const name = checkName(what)
    checkLabels(labels)
    await this.#reporting(`labelling ${name}`, async () => {
      await this.#checkOurs(this.#dataset(name), typeof what === 'string' ? 'volume' : 'snapshot')
      await zfs('set', labelsProperty(labels), this.#dataset(name))
    })
  }

  async volumeUsage(id: VolumeId): Promise<VolumeUsage> {
    checkVolumeId(id)
    return this.#reporting(`reading the usage of the volume ${id}`, async () => {
      const name = this.#dataset(id)
      await this.#checkOurs(name, 'volume')
      const properties = await getProperties(name, ['written', 'quota'])
      // 0 is none.
      return { ownBytes: bytesOf(properties, 'written'), quotaBytes: bytesOf(properties, 'quota') || undefined }
    })
  }

  async logicalBytes(id: VolumeId): Promise<number> {
    checkVolumeId(id)
    return this.#reporting(`reading the size of the volume ${id}`, async () => {
      const name = this.#dataset(id)
      await this.#checkOurs(name, 'volume')
      return bytesOf(await getProperties(name, ['logicalreferenced']), 'logicalreferenced')
    })
  }

  async destroyVolume(id: VolumeId): Promise<void> {
    checkVolumeId(id)
    await this.#reporting(`destroying the volume ${id}`, async () => {
      const name = this.#dataset(id)
      if (!(await this.#find(name, 'volume'))) return
      await this.#destroyUnused(name, `the volume ${id}`, () => dependentsOf(name))
    })
  }

  async snapshot(of: VolumeId, snapshotId: string, labels: Labels = {}): Promise<Snapshot> {
    const ref = { volumeId: of, snapshotId }
    checkSnapshotRef(ref)
    checkLabels(labels)
    await this.#reporting(`taking the snapshot ${snapshotName(ref)}`, async () => {
      await this.#checkOurs(this.#dataset(of), 'volume')
      await this.#make('snapshot', { kind: 'snapshot', id: snapshotName(ref), labels })
    })
    return { ...ref, labels }
  }

  async listSnapshots(): Promise<Snapshot[]> {
    const found = await this.#reporting('listing the snapshots', () => this.#list('snapshot'))
    return found.flatMap(({ label: { id, labels } }) => {
      const ref = parseSnapshotName(id)
      return ref ? [{ ...ref, labels }] : []
    })
  }

  async destroySnapshot(ref: SnapshotRef): Promise<void> {
    checkSnapshotRef(ref)
    await this.#reporting(`destroying the snapshot ${snapshotName(ref)}`, async () => {
      const name = this.#dataset(snapshotName(ref))
      if (!(await this.#find(name, 'snapshot'))) return
      await this.#destroyUnused(name, `the snapshot ${snapshotName(ref)}`, () => clonesOf(name))
    })
  }

  /** What a reboot has left unmounted. The dataset above goes first, and only below nothing: it would hide what is mounted there. */
  async #mountAll(): Promise<void> {
    const volumes = await this.#list('volume')
    const unmounted = volumes.filter(({ properties }) => propertyOf(properties, 'mounted') !== 'yes')
    const above = await getProperties(this.#config.dataset, ['mounted', 'canmount'])
    const isMissing = propertyOf(above, 'mounted') !== 'yes' && propertyOf(above, 'canmount') === 'on'
    if (isMissing && unmounted.length === volumes.length) await zfs('mount', this.#config.dataset)
    for (const { name } of unmounted) await zfs('mount', name)
  }

  /**
   * Runs the one command that makes (and mounts) a dataset or a snapshot, then what has to follow. A command can fail and have made it
   * all the same, where only the mount failed: what bears this very call's mark is removed again.
   */
  async #make(
    verb: 'create' | 'clone' | 'snapshot',
    label: OwnLabel,
    more: readonly string[] = [],
    after?: () => Promise<void>,
  ) {
    const name = this.#dataset(label.id)
    const call = randomUUID()
    const marks = [...labelOptions({ lab: this.#config.labId, ...label }), '-o', `${CALL}=${call}`]
    try {
      await zfs(verb, ...marks, ...more, name)
      await after?.()
    } catch (error) {
      await this.#undo(error, name, call)
    }
    this.#seen.add(name)
  }

  async #undo(error: unknown, name: string, call: string): Promise<never> {
    try {
      const properties = await lookUp(name, [CALL])
      if (properties && localPropertyOf(properties, CALL) === call) await this.#destroy(name)
    } catch (second) {
      const cause = new AggregateError([error, second], 'the work failed, and so did undoing it')
      throw new ProvisionError('FAILED', `${name} can't be used, and may be left half made`, {
        cause,
        hint: `Look whether it is there, and remove it by hand: zfs destroy ${name}`,
      })
    }
    throw error
  }

  async #destroyUnused(name: string, what: string, usersOf: () => Promise<string[]>): Promise<void> {
    try {
      await this.#destroy(name)
    } catch (error) {
      if (!(error instanceof CommandError) || codeOf(error) !== 'IN_USE') throw error
      const users = (await usersOf()).map((user) => this.#shortName(user))
      if (users.length === 0) throw error
      throw inUse(what, users, error)
    }
  }

  async #destroy(name: string): Promise<void> {
    this.#seen.delete(name)
    await destroyDataset(name)
  }

  /** Everything of this lab and kind: one command, so that labels and facts belong together. */
  async #list(kind: Kind): Promise<OwnDataset[]> {
    const [depth, type] = kind === 'snapshot' ? ['2', 'snapshot'] : ['1', 'filesystem']
    const facts = kind === 'snapshot' ? [] : VOLUME_FACTS
    const options = ['-Hp', '-o', 'name,property,value,source', '-d', depth, '-t', type]
    const stdout = await zfs('get', ...options, [...LABEL_PROPERTIES, ...facts].join(','), this.#config.dataset)
    const own: OwnDataset[] = []
    for (const [name, properties] of parseProperties(stdout)) {
      const label = this.#ownLabel(name, kind, properties)
      if (!label) continue
      this.#seen.add(name)
      own.push({ name, label, properties })
    }
    return own
  }

  #ownLabel(name: string, kind: Kind, properties: Properties): Label | undefined {
    const label = parseLabel(properties)
    return label?.lab === this.#config.labId && label.kind === kind && name === this.#dataset(label.id)
      ? label
      : undefined
  }

  /** Undefined when there is none, or it's someone else's. */
  async #find(name: string, kind: Kind, facts: readonly string[] = []): Promise<OwnDataset | undefined> {
    const properties = await lookUp(name, [...LABEL_PROPERTIES, ...facts])
    const label = properties && this.#ownLabel(name, kind, properties)
    if (!label) {
      this.#seen.delete(name)
      return undefined
    }
    this.#seen.add(name)
    return { name, label, properties }
  }

  async #checkOurs(name: string, kind: Kind): Promise<void> {
    if (this.#seen.has(name) || (await this.#find(name, kind))) return
    throw notFound(kind, this.#shortName(name))
  }

  #volume({ label: { id, labels }, properties }: OwnDataset): Volume {
    return { id, path: propertyOf(properties, 'mountpoint'), origin: this.#originOf(properties), labels }
  }

  #originOf(properties: Properties): SnapshotRef | undefined {
    const origin = propertyOf(properties, 'origin')
    return origin.startsWith(`${this.#config.dataset}/`) ? parseSnapshotName(this.#shortName(origin)) : undefined
  }

  #dataset(id: string): string {
    return `${this.#config.dataset}/${id}`
  }

  #shortName(name: string): string {
    const prefix = `${this.#config.dataset}/`
    return name.startsWith(prefix) ? name.slice(prefix.length) : name
  }

  #path(id: VolumeId): string {
    return join(this.#mountedAt, id)
  }

  get #mountedAt(): string {
    if (this.#mountPoint === undefined)
      throw new ProvisionError('FAILED', 'the zfs driver was called before it was opened')
    return this.#mountPoint
  }

  async #reporting<T>(doing: string, work: () => Promise<T>): Promise<T> {
    return reporting(doing, () => withCommandTimeout(this.#config.commandTimeoutMs, work), explainZfs)
  }
}
