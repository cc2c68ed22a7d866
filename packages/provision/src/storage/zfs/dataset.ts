import { join } from 'node:path'
import { isProvisionError, ProvisionError } from '../../errors.ts'
import { CommandError, run } from '../../exec.ts'
import { removeIfEmpty } from '../../files.ts'
import { checkPassable, nearestExisting } from '../access.ts'
import { zfs } from './commands.ts'
import { codeOf, explainZfs } from './errors.ts'
import { LABEL_PROPERTIES, labelOptions, parseLabel } from './label.ts'
import { type Properties, parseProperties, propertyOf } from './output.ts'

export interface ZfsConfig {
  labId: string
  /** The dataset that volumes are children of. */
  dataset: string
  /** Where it's mounted when we make it and its parent has no mount point to pass on. */
  root: string
  owner: { uid: number; gid: number }
  commandTimeoutMs?: number | undefined
}

/** zfsconcepts(7): what a dataset's name may hold, here without blanks; no part can be taken for an option. */
const DATASET = /^[A-Za-z][\w.:-]*(\/[A-Za-z0-9][\w.:-]*)*$/

const DELEGATION =
  '`zfs allow USER create,clone,destroy,mount,promote,snapshot,userprop DATASET` lets an ordinary account do the rest, ' +
  'but on Linux only root can mount: run the server as root.'

/**
 * Where the dataset is mounted; undefined when it's still to be made in a parent that is there. Changes nothing.
 *
 * @throws ProvisionError UNAVAILABLE, saying what is missing
 */
export async function checkDataset(config: ZfsConfig): Promise<{ mountPoint: string | undefined }> {
  if (!DATASET.test(config.dataset))
    throw new ProvisionError('INVALID', "the configured dataset's name is none that ZFS allows")
  await checkProgram()
  if (process.geteuid?.() !== 0) {
    throw new ProvisionError('UNAVAILABLE', 'the zfs driver needs root, which alone may mount datasets', {
      hint: DELEGATION,
    })
  }
  const properties = await find(config.dataset)
  if (!properties) {
    await checkParent(config.dataset)
    return { mountPoint: undefined }
  }
  const mountPoint = propertyOf(properties, 'mountpoint')
  if (!mountPoint.startsWith('/')) {
    throw new ProvisionError('UNAVAILABLE', `the dataset ${config.dataset} has no mount point (${mountPoint})`, {
      hint: `Give it one for its children to follow: zfs set mountpoint=/srv/dblab ${config.dataset}`,
    })
  }
  await checkPassable(await nearestExisting(mountPoint), config.owner)
  return { mountPoint }
}

/** @throws ProvisionError UNAVAILABLE where the dataset that the data is known to lie in is not there: a new one in its place would be empty */
export async function requireDataset({ dataset }: ZfsConfig): Promise<void> {
  if (await find(dataset)) return
  throw new ProvisionError('UNAVAILABLE', `the dataset ${dataset} is gone, and with it the data; nothing was changed`, {
    hint: 'Is another pool imported under its name? Import the right one, or receive a copy of the dataset (zfs receive).',
  })
}

/** Makes the dataset unless it's there. It's marked as ours to destroy. */
export async function makeDataset(config: ZfsConfig): Promise<void> {
  if (await find(config.dataset)) return
  const parent = await checkParent(config.dataset)
  const inherits = propertyOf(parent, 'mountpoint').startsWith('/')
  const id = config.dataset.split('/').at(-1) ?? ''
  const label = labelOptions({ lab: config.labId, kind: 'pool', id, labels: {} })
  await zfs(
    'create',
    '-o',
    'atime=off',
    ...(inherits ? [] : ['-o', `mountpoint=${ownMountPoint(config)}`]),
    ...label,
    config.dataset,
  )
}

function ownMountPoint({ root }: ZfsConfig): string {
  return join(root, 'zfs')
}

/** Destroys the dataset if this lab made it and nothing is left in it. */
export async function removeDataset(config: ZfsConfig): Promise<void> {
  const properties = await find(config.dataset)
  const label = properties && parseLabel(properties)
  if (label?.lab !== config.labId || label.kind !== 'pool') return
  try {
    await zfs('destroy', config.dataset)
    // ZFS leaves a mount point that a dataset has of its own, and does not inherit (libzfs_mount.c, remove_mountpoint).
    await removeIfEmpty(ownMountPoint(config))
  } catch (error) {
    // Others keep datasets or snapshots there.
    if (!(error instanceof CommandError) || codeOf(error) !== 'IN_USE') throw error
  }
}

async function checkParent(dataset: string): Promise<Properties> {
  const parent = dataset.split('/').slice(0, -1).join('/')
  const properties = parent === '' ? undefined : await find(parent)
  if (properties) return properties
  const pool = dataset.split('/')[0] ?? ''
  throw new ProvisionError('UNAVAILABLE', `there is no dataset ${parent || dataset}`, {
    hint: `Import its pool (zpool import ${pool}) or make the dataset (zfs create -p ${dataset}).`,
  })
}

async function find(dataset: string): Promise<Properties | undefined> {
  const properties = [...LABEL_PROPERTIES, 'mountpoint', 'type'].join(',')
  try {
    const stdout = await zfs('get', '-Hp', '-o', 'name,property,value,source', '-t', 'filesystem', properties, dataset)
    return parseProperties(stdout).get(dataset)
  } catch (error) {
    if (error instanceof CommandError && codeOf(error) === 'NOT_FOUND') return undefined
    throw error instanceof CommandError ? explainZfs(error, `looking for ${dataset}`) : error
  }
}

async function checkProgram(): Promise<void> {
  try {
    await run(['zfs', 'version'])
  } catch (error) {
    // It fails where the module isn't loaded; what follows says that better.
    if (error instanceof CommandError) return
    if (!isProvisionError(error, 'UNAVAILABLE')) throw error
    throw new ProvisionError('UNAVAILABLE', 'the program zfs is not installed', {
      cause: error,
      hint: 'Install OpenZFS (on Debian and Ubuntu: zfsutils-linux) and make a pool (zpool create).',
    })
  }
}
