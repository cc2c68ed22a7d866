import { existsSync } from 'node:fs'
import { stat, statfs } from 'node:fs/promises'
import {
  type BinarySource,
  binarySource,
  callerAccount,
  findAccount,
  isSystemError,
  type OpenedStorage,
  openStorage,
  type PostgresRuntime,
  ProcessRuntime,
} from '@dblab/provision'
import type { Config } from '../config/schema.ts'
import { type Identity, IdentityError, makeIdentity, readIdentity, writeIdentity } from './identity.ts'
import { lockDataDir } from './lock.ts'
import { chooseStateDir, makeDataDir, makeStateDir, places } from './places.ts'

/** What every command needs that touches a lab: its identity, its storage and its Postgres, held for this process alone. */
export interface Foundations extends AsyncDisposable {
  identity: Identity
  storage: OpenedStorage
  runtime: PostgresRuntime
  binaries: BinarySource
  /** True when the storage was chosen just now, for a lab that had none. */
  isNew: boolean
}

/**
 * Opens the lab of the configured data directory; a new one gets its identity here.
 *
 * @param options.anew take an absent pool for one to be made, as only a destruction that was cut off may
 * @throws LabLockedError, IdentityError, ProvisionError
 */
export async function openFoundations(config: Config, { anew = false } = {}): Promise<Foundations> {
  const { dataDir } = config
  await makeDataDir(dataDir)
  using stack = new DisposableStack()
  const lock = stack.use(lockDataDir(places.lock(dataDir)))
  const account = await findAccount(config.postgres.user)
  const identity =
    (await readIdentity(dataDir)) ?? (await makeIdentity(dataDir, (labId) => chooseStateDir(dataDir, account, labId)))
  const { stateDir } = identity
  if (!anew) requireSameStorage(identity, config)
  await makeStateDir(stateDir)
  const storage = await openStorage({
    driver: identity.storage?.driver ?? config.storage.driver,
    labId: identity.labId,
    root: places.pool(stateDir),
    owner: account,
    dataset: config.storage.dataset,
    image: { path: places.image(dataDir), sizeBytes: config.storage.imageSize ?? (await defaultImageSize(dataDir)) },
  })
  const isNew = identity.storage === undefined
  if (isNew) {
    const { driver, embedded } = storage.choice
    identity.storage = { driver, embedded, dataset: config.storage.dataset ?? '' }
    await writeIdentity(dataDir, identity)
  }
  const binaries = chosenBinaries(config, account, stateDir)
  const runtime = new ProcessRuntime({
    account,
    binaries,
    stateDir: places.postgres(stateDir),
    labUser: callerAccount().name,
  })
  stack.move()
  return { identity, storage, runtime, binaries, isNew, [Symbol.asyncDispose]: async () => lock[Symbol.dispose]() }
}

/** The data is where it was: to come up empty somewhere else would look like the loss of everything. */
function requireSameStorage({ storage, stateDir }: Identity, { dataDir, storage: wanted }: Config): void {
  if (!storage) return
  const { driver, embedded, dataset } = storage
  if (wanted.driver !== 'auto' && wanted.driver !== driver) {
    throw new IdentityError(
      `storage.driver: the lab's data lies on ${driver}, not on ${wanted.driver}; nothing was changed`,
    )
  }
  if (driver === 'zfs' && dataset !== (wanted.dataset ?? '')) {
    throw new IdentityError(
      `storage.dataset: the lab's data lies in ${dataset}, not in ${wanted.dataset ?? 'none'}; nothing was changed`,
    )
  }
  const needed = embedded ? places.image(dataDir) : places.poolMarker(stateDir)
  if (driver === 'zfs' || existsSync(needed)) return
  throw new IdentityError(
    `${needed} is missing, and with it the lab's data; nothing was changed. Is a disk not mounted?`,
  )
}

/** Of the space that is free when the image is made: the rest of the host lives on too. */
const SHARE_OF_FREE_SPACE = 0.8

async function defaultImageSize(dataDir: string): Promise<number> {
  try {
    return (await stat(places.image(dataDir))).size
  } catch (error) {
    if (!isSystemError(error, 'ENOENT')) throw error
  }
  const { bavail, bsize } = await statfs(dataDir)
  return Math.floor(bavail * bsize * SHARE_OF_FREE_SPACE)
}

/** A cluster says itself which major it needs; a new one gets the configured, or the default. */
function chosenBinaries(config: Config, account: PostgresRuntime['account'], stateDir: string): BinarySource {
  const { binDir, version } = config.postgres
  const source = binarySource({
    account,
    copiesDir: places.binaries(stateDir),
    ...(binDir && { configured: [binDir] }),
  })
  return (major) => source(major ?? version)
}
