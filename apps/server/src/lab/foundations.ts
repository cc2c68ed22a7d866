import { existsSync } from 'node:fs'
import { rm, stat, statfs } from 'node:fs/promises'
import {
  type BinarySource,
  binarySource,
  callerAccount,
  failPoint,
  findAccount,
  isSystemError,
  type OpenedStorage,
  openStorage,
  PortSteering,
  type PostgresRuntime,
  ProcessRuntime,
} from '@dblab/provision'
import type { Config } from '../config/schema.ts'
import { toMilliseconds } from '../time.ts'
import { type Identity, IdentityError, makeIdentity, readIdentity, writeIdentity } from './identity.ts'
import { type InstanceBounds, openBounds } from './limits.ts'
import { lockDataDir } from './lock.ts'
import { makeDataDir, makeStateDir, places } from './places.ts'
import { removeServerFile, writeServerFile } from './server-file.ts'

/** What every command needs that touches a lab: its identity, its storage and its Postgres, held for this process alone. */
export interface Foundations extends AsyncDisposable {
  identity: Identity
  storage: OpenedStorage
  runtime: PostgresRuntime
  binaries: BinarySource
  bounds: InstanceBounds
  steering: PortSteering
  /** True when the storage was chosen just now, for a lab that had none. */
  isNew: boolean
}

/** `serve` holds the lab for a server, which `stop` and `destroy` may ask to stop. They all go by what the lab itself says of its storage. */
export type Purpose = 'serve' | 'stop' | 'destroy' | 'rebuild'

/**
 * Opens the lab of the configured data directory; a new one gets its identity here.
 *
 * @throws LabLockedError, IdentityError, ProvisionError
 */
export async function openFoundations(config: Config, purpose: Purpose): Promise<Foundations> {
  const { dataDir } = config
  await makeDataDir(dataDir)
  await using stack = new AsyncDisposableStack()
  stack.use(lockDataDir(places.lock(dataDir)))
  stack.defer(() => removeServerFile(dataDir))
  await failPoint('start.locked')
  if (purpose === 'serve') await writeServerFile(dataDir, null)
  else await removeServerFile(dataDir)
  const known = await readIdentity(dataDir)
  const account = await findAccount(config.postgres.user, known?.account)
  const identity = known ?? (await makeIdentity(dataDir, account))
  await failPoint('start.identity-written')
  const { stateDir } = identity
  if (purpose === 'serve') requireSameStorage(identity, config)
  requireUnharmed(identity, purpose)
  if (purpose === 'serve' && identity.account !== account.name) {
    identity.account = account.name
    await writeIdentity(dataDir, identity)
  }
  await makeStateDir(stateDir)
  // Left by a process that was killed while it brought in data.
  for (const login of [places.importLogin, places.sourceLogin])
    await rm(login(stateDir), { recursive: true, force: true })
  const { imageSize, commandSeconds, ...wanted } = config.storage
  const storage = await openStorage({
    // The configured one too where a first start was cut off before it had chosen.
    driver: purpose === 'serve' || !identity.storage ? wanted.driver : 'auto',
    settled: identity.storage?.driver,
    mayBeGone: identity.destroying,
    commandTimeoutMs: toMilliseconds(commandSeconds),
    labId: identity.labId,
    root: places.pool(stateDir),
    owner: account,
    dataset: identity.storage?.dataset || wanted.dataset,
    ...(purpose === 'serve' && { quotas: config.clones.diskQuota !== undefined }),
    image: { path: places.image(dataDir), sizeBytes: imageSize ?? (await defaultImageSize(dataDir)) },
  })
  await failPoint('start.storage-opened')
  const isNew = identity.storage === undefined
  if (isNew) {
    const { driver, embedded } = storage.choice
    identity.storage = { driver, embedded, dataset: wanted.dataset ?? '' }
    await writeIdentity(dataDir, identity)
    await failPoint('start.storage-noted')
  }
  const binaries = chosenBinaries(config, account, stateDir)
  const bounds = await openBounds(config, identity.labId)
  const steering = stack.use(new PortSteering(identity.labId))
  const runtime = new ProcessRuntime({
    cgroups: bounds.cgroups,
    account,
    binaries,
    stateDir: places.postgres(stateDir),
    labUser: callerAccount().name,
  })
  const whole = stack.move()
  return {
    identity,
    storage,
    runtime,
    bounds,
    steering,
    binaries,
    isNew,
    [Symbol.asyncDispose]: () => whole.disposeAsync(),
  }
}

/** The data is where it was: to come up empty somewhere else would look like the loss of everything. */
function requireSameStorage({ storage }: Identity, { storage: wanted }: Config): void {
  if (!storage) return
  const { driver, dataset } = storage
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
}

/** An absent pool must not be taken for a new one; not by a destruction either, unless it is one that was cut off. */
function requireUnharmed({ storage, stateDir, dataDir, destroying }: Identity, purpose: Purpose): void {
  if (destroying && purpose === 'destroy') return
  if (destroying) {
    throw new IdentityError('the destruction of this lab was cut off; end it with "npm run destroy", then start anew')
  }
  if (!storage || storage.driver === 'zfs') return
  const needed = storage.embedded ? places.image(dataDir) : places.poolMarker(stateDir)
  if (existsSync(needed)) return
  throw new IdentityError(
    `${needed} is missing, and with it the lab's data; nothing was changed. Is a disk not mounted? If it is lost for good, remove ${dataDir}`,
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
