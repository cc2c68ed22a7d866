import { isProvisionError, ProvisionError } from '../errors.ts'
import { withCommandTimeout } from '../exec.ts'
import { failPoint } from '../faults/faults.ts'
import { exists, makeDirectory, removeIfEmpty } from '../files.ts'
import { openBtrfs } from './btrfs/open.ts'
import type { DriverName, StorageConfig, StoragePool } from './config.ts'
import { openCopy } from './copy/copy.ts'
import type { StorageDriver } from './driver.ts'
import { checkLabId, snapshotName } from './ids.ts'
import { readMarker, removeMarker, writeMarker } from './marker.ts'
import { openReflink } from './reflink/reflink.ts'
import { reporting } from './report.ts'
import { openZfs } from './zfs/open.ts'

export type { DriverName, StorageConfig } from './config.ts'

export interface StorageChoice {
  driver: DriverName
  /** True for the embedded pool. */
  embedded: boolean
  /** Why `auto` passed over the ones before: which, the reason, and what would make it possible. Empty for a named driver. */
  passedOver: { driver: DriverName; reason: string; hint: string }[]
}

export interface OpenedStorage {
  driver: StorageDriver
  choice: StorageChoice
  /** Gives the pool back to the host: unmounted, loop device freed. Data stays; opening it again finds it. */
  detach(): Promise<void>
  /** Removes everything of this lab that opening made: volumes, snapshots, the image, the directories, a dataset that it made. */
  destroy(): Promise<void>
}

/** The one map of names. `auto` tries them in this order. */
const DRIVERS: Record<DriverName, (config: StorageConfig) => Promise<StoragePool>> = {
  zfs: openZfs,
  btrfs: openBtrfs,
  reflink: openReflink,
  copy: openCopy,
}
const ORDER: readonly DriverName[] = ['zfs', 'btrfs', 'reflink', 'copy']

/**
 * Opens the storage that the configuration asks for.
 *
 * The driver that `root` was first opened with stays its driver: `auto` takes that one, and fails rather than come up empty with
 * another when it can't work any more.
 *
 * @throws ProvisionError UNAVAILABLE when the named driver, or under `auto` none, can work here, or `root` belongs to another one;
 *   INVALID for a configuration that no driver could take
 */
export async function openStorage(config: StorageConfig): Promise<OpenedStorage> {
  checkConfig(config)
  const { root } = config
  const madeRoot = !(await reporting(`looking for ${root}`, () => exists(root)))
  const settled = config.settled ?? (await reporting(`reading ${root}`, () => settledDriver(config)))
  if (settled && config.driver !== 'auto' && config.driver !== settled) throw belongsTo(settled, config)
  const name = settled ?? config.driver
  return withCommandTimeout(config.commandTimeoutMs, async () => {
    if (name === 'auto') return openFirst(config, madeRoot)
    return opened(config, name, await DRIVERS[name](config), config.driver === 'auto' ? passedFor(name) : [], madeRoot)
  })
}

function checkConfig(config: StorageConfig): void {
  checkLabId(config.labId)
  if (!config.root.startsWith('/') || config.root === '/') {
    throw new ProvisionError('INVALID', 'the root of the storage must be an absolute path, and not that of the machine')
  }
}

/** The driver that `root` was opened with before. An embedded pool is known by its image. */
async function settledDriver(config: StorageConfig): Promise<DriverName | undefined> {
  const marker = await readMarker(config.root)
  if (marker) return marker.driver
  return config.image && (await exists(config.image.path)) ? 'btrfs' : undefined
}

function belongsTo(settled: DriverName, { root, driver }: StorageConfig): ProvisionError {
  return new ProvisionError('UNAVAILABLE', `${root} belongs to the driver ${settled}, not to ${driver}`, {
    hint: `Configure the driver ${settled}, or another data directory for ${driver}.`,
  })
}

async function openFirst(config: StorageConfig, madeRoot: boolean): Promise<OpenedStorage> {
  const passedOver: StorageChoice['passedOver'] = []
  for (const driver of ORDER) {
    try {
      return await opened(config, driver, await DRIVERS[driver](config), passedOver, madeRoot)
    } catch (error) {
      if (!isProvisionError(error, 'UNAVAILABLE')) throw error
      passedOver.push({ driver, reason: error.message, hint: error.hint ?? '' })
    }
  }
  const reasons = passedOver.map(({ driver, reason }) => `${driver}: ${reason}`).join('; ')
  const hint = passedOver.at(-1)?.hint
  throw new ProvisionError('UNAVAILABLE', `no storage driver can work here (${reasons})`, hint ? { hint } : {})
}

function passedFor(settled: DriverName): StorageChoice['passedOver'] {
  return ORDER.slice(0, ORDER.indexOf(settled)).map((driver) => ({
    driver,
    reason: `the data is already kept by the driver ${settled}`,
    hint: 'A new lab, in another data directory, chooses anew.',
  }))
}

async function opened(
  config: StorageConfig,
  name: DriverName,
  pool: StoragePool,
  passedOver: StorageChoice['passedOver'],
  madeRoot: boolean,
): Promise<OpenedStorage> {
  const { root } = config
  await reporting(`writing into ${root}`, async () => {
    // An embedded pool is known by its image.
    if (pool.embedded || (await readMarker(root))) return
    await makeDirectory(root, 0o711)
    await failPoint('storage.root-made')
    await writeMarker(root, { driver: name, madeRoot })
  })
  return {
    driver: pool.driver,
    choice: { driver: name, embedded: pool.embedded, passedOver },
    detach: () => pool.detach(),
    destroy: () => destroy(root, pool),
  }
}

async function destroy(root: string, pool: StoragePool): Promise<void> {
  await destroyAll(pool.driver)
  await pool.remove()
  await reporting(`removing ${root}`, async () => {
    // Others may keep volumes of theirs there, by the same driver.
    const marker = await readMarker(root)
    if (!marker || (await exists(`${root}/volumes`))) return
    await removeMarker(root)
    if (marker.madeRoot) await removeIfEmpty(root)
  })
}

/** Destroys volumes without snapshots and snapshots without clones, in turns, until nothing is left. */
async function destroyAll(driver: StorageDriver): Promise<void> {
  for (;;) {
    const [volumes, snapshots] = [await driver.listVolumes(), await driver.listSnapshots()]
    const snapshotted = new Set(snapshots.map((snapshot) => snapshot.volumeId))
    const cloned = new Set(volumes.flatMap(({ origin }) => (origin ? [snapshotName(origin)] : [])))
    const freeVolumes = volumes.filter((volume) => !snapshotted.has(volume.id))
    const freeSnapshots = snapshots.filter((snapshot) => !cloned.has(snapshotName(snapshot)))
    for (const volume of freeVolumes) await driver.destroyVolume(volume.id)
    for (const snapshot of freeSnapshots) await driver.destroySnapshot(snapshot)
    if (freeVolumes.length + freeSnapshots.length > 0) continue
    if (volumes.length + snapshots.length === 0) return
    throw new ProvisionError(
      'FAILED',
      'what is left of the lab depends on itself, and can not be destroyed in any order',
    )
  }
}
