import { type Instance, isProvisionError, type Labels, type Provisioner, type SnapshotRef } from '@dblab/provision'
import pLimit from 'p-limit'
import { explainFailure } from '../cloning/explain.ts'
import { handedOverLabels, readLabel } from '../labels.ts'

/** What the data of a clone says of its login. */
export type FoundLogin =
  | { kind: 'there'; verifier: string }
  /** The clone was never ready: its user is made before it is. */
  | { kind: 'missing' }
  | { kind: 'unreadable'; why: string }

export interface FoundVolume {
  id: string
  origin: SnapshotRef | undefined
  labels: Labels
  /** True while a Postgres runs on it. */
  running: boolean
  /** At which that Postgres answers, or the last one that ran. */
  port: number | undefined
  /** Undefined where there is no cluster in it. */
  postgresVersion: number | undefined
  /** It ran with `fsync=off` while the host went down. */
  lostWrites: boolean
  /** Of a clone's volume that is not retired. */
  login: FoundLogin | undefined
}

export interface FoundSnapshot extends SnapshotRef {
  labels: Labels
  /** Bytes that its files show, or did once. */
  size: number
}

export interface Found {
  volumes: FoundVolume[]
  snapshots: FoundSnapshot[]
}

/** As many as start at the same time where nothing is configured. */
const READ_AT_ONCE = 4

/** What the storage's labels, the runtime's records and the data of the clones say. A Postgres that runs is asked and otherwise left alone. */
export async function find(provisioner: Provisioner, bootId: string | null): Promise<Found> {
  const { storage, runtime } = provisioner
  const maySteer = await canSteer(provisioner)
  const instances = new Map((await runtime.list()).map((instance) => [instance.id, instance]))
  // A reset that was cut off may have had one stand still.
  for (const [id, { state }] of instances) if (state === 'running') await runtime.resume(id)
  const limit = pLimit(READ_AT_ONCE)
  const volumes = await Promise.all(
    (await storage.listVolumes()).map(({ id, origin, labels: found }) =>
      limit(async (): Promise<FoundVolume> => {
        const labels = found.role === 'warm' ? await labelsOfWarm(provisioner, id, found) : found
        const facts = { id, origin, labels, ...stateOf(instances.get(id), labels, maySteer) }
        const postgresVersion = await majorOf(provisioner, id)
        // Before a Postgres is started for the next question, which would make a clean shutdown of it.
        const lostWrites = postgresVersion !== undefined && (await hasLostWrites(provisioner, facts, bootId))
        return { ...facts, postgresVersion, lostWrites, login: await loginOf(provisioner, facts) }
      }),
    ),
  )
  const snapshots: FoundSnapshot[] = []
  for (const { volumeId, snapshotId, labels } of await storage.listSnapshots()) {
    const size = Number(readLabel(labels, 'size')) || (await sizeOf(provisioner, volumeId))
    snapshots.push({ volumeId, snapshotId, labels, size })
  }
  return { volumes, snapshots }
}

/** Somebody may have got it in the very moment before the catalogue was lost. */
async function labelsOfWarm(provisioner: Provisioner, id: string, labels: Labels): Promise<Labels> {
  try {
    const username = await provisioner.userOf(id)
    return username === undefined ? labels : handedOverLabels(labels, id, username)
  } catch (error) {
    if (!isProvisionError(error)) throw error
    // Nobody's, or somebody's: without a role it is left alone.
    const { role: _, ...rest } = labels
    return rest
  }
}

function stateOf(
  instance: Instance | undefined,
  labels: Labels,
  maySteer: boolean,
): { running: boolean; port: number | undefined } {
  // What runs may have been started at another port than the clone's, and answer at the clone's, or be going to.
  const labelled = maySteer ? Number(readLabel(labels, 'port')) : 0
  return { running: instance?.state === 'running', port: labelled || instance?.port }
}

async function canSteer(provisioner: Provisioner): Promise<boolean> {
  try {
    await provisioner.ports.check()
    return true
  } catch (error) {
    if (isProvisionError(error, 'UNAVAILABLE')) return false
    throw error
  }
}

async function majorOf(provisioner: Provisioner, id: string): Promise<number | undefined> {
  try {
    return await provisioner.majorOf(id)
  } catch (error) {
    if (isProvisionError(error, 'NOT_FOUND', 'INVALID')) return undefined
    throw error
  }
}

async function hasLostWrites(
  provisioner: Provisioner,
  { id, labels, running }: Pick<FoundVolume, 'id' | 'labels' | 'running'>,
  bootId: string | null,
): Promise<boolean> {
  const unsafe = readLabel(labels, 'unsafe-boot-id')
  if (running || unsafe === undefined || unsafe === bootId) return false
  return !(await provisioner.isShutDownCleanly(id))
}

async function sizeOf(provisioner: Provisioner, volumeId: string): Promise<number> {
  try {
    return await provisioner.storage.logicalBytes(volumeId)
  } catch (error) {
    if (isProvisionError(error, 'NOT_FOUND')) return 0
    throw error
  }
}

async function loginOf(
  provisioner: Provisioner,
  { id, labels }: Pick<FoundVolume, 'id' | 'labels'>,
): Promise<FoundLogin | undefined> {
  const username = readLabel(labels, 'db-username')
  if (username === undefined || labels.role !== 'clone' || labels.state === 'retired') return undefined
  try {
    const verifier = await provisioner.verifierOf(id, username)
    return verifier === undefined ? { kind: 'missing' } : { kind: 'there', verifier }
  } catch (error) {
    if (!isProvisionError(error)) throw error
    return { kind: 'unreadable', why: explainFailure(error) }
  }
}
