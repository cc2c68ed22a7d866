import type { SnapshotRecord } from '../catalogue/snapshots.ts'
import type { BaseData, StandbyData, VolumeRecord, VolumeState } from '../catalogue/volumes.ts'
import { readDatabases, readLabel } from '../labels.ts'
import type { Found, FoundSnapshot, FoundVolume } from './find.ts'
import { type PlannedClone, planClones } from './plan-clones.ts'

/** What the new catalogue is to hold. */
export interface Plan {
  volumes: VolumeRecord[]
  snapshots: SnapshotRecord[]
  clones: PlannedClone[]
  /** What a person should know, a sentence each. */
  notes: string[]
}

/** Before anything that was labelled with its time. */
const LONG_AGO = '1970-01-01T00:00:00.000Z'

/**
 * What the catalogue was, as far as the findings tell. Nothing is taken for nobody's that may be somebody's: what is undecided comes back
 * as a protected clone, and what is not understood is left out of the catalogue, so that nothing ever removes it.
 */
export function plan(found: Found, now: string): Plan {
  const notes: string[] = []
  const clones = planClones(found.volumes, notes, now)
  const states = new Map(clones.states)
  for (const volume of found.volumes) {
    const state = labelsRole(volume) === 'clone' ? undefined : stateOf(volume, found.snapshots)
    if (state) states.set(volume.id, state)
    else if (!states.has(volume.id)) notes.push(`volume ${volume.id} says too little of itself, and was left alone`)
  }
  const volumes = found.volumes.flatMap((volume): VolumeRecord[] => {
    const state = states.get(volume.id)
    return state ? [volumeRecord(volume, state, found.snapshots)] : []
  })
  const snapshots = planSnapshots(found, notes, now)
  const whole = withMissing({ volumes, snapshots, clones: clones.clones, notes }, now)
  whole.volumes.sort((a, b) => (a.createdAt < b.createdAt ? -1 : 1))
  return whole
}

/** Of any but a clone's: what has snapshots was made whole, and nobody has ever seen what has none and was not called live. */
function stateOf(volume: FoundVolume, snapshots: FoundSnapshot[]): VolumeState | undefined {
  const role = labelsRole(volume)
  const state = readLabel(volume.labels, 'state')
  const hasSnapshots = snapshots.some(({ volumeId }) => volumeId === volume.id)
  // Nobody has had it.
  if (role === 'warm') return 'retired'
  if (role === 'standby') return state === 'live' && standbyOf(volume) ? 'live' : 'retired'
  if (role !== 'base' && role !== 'scratch') return undefined
  if (state === 'retired') return 'retired'
  if (hasSnapshots || state === 'live') return 'live'
  return state === 'pending' || role === 'scratch' ? 'retired' : undefined
}

function volumeRecord(volume: FoundVolume, state: VolumeState, snapshots: FoundSnapshot[]): VolumeRecord {
  const { id, labels, origin } = volume
  const role = labelsRole(volume)
  const own = snapshots.find(({ volumeId }) => volumeId === id)
  return {
    id,
    role: role === 'base' || role === 'scratch' || role === 'standby' ? role : 'clone',
    state,
    createdAt: readLabel(labels, 'made-at') ?? (own && readLabel(own.labels, 'created-at')) ?? LONG_AGO,
    origin: origin?.snapshotId ?? null,
    data: role === 'base' ? (dataOf(volume, labels) ?? (own && dataOf(volume, own.labels)) ?? null) : null,
    standby: role === 'standby' ? (standbyOf(volume) ?? null) : null,
  }
}

function standbyOf({ labels }: FoundVolume): StandbyData | undefined {
  const [source, superuser] = [readLabel(labels, 'source'), readLabel(labels, 'superuser')]
  return source === undefined || superuser === undefined ? undefined : { source, superuser }
}

function dataOf({ postgresVersion }: FoundVolume, labels: FoundVolume['labels']): BaseData | undefined {
  const [database, timestamp] = [readLabel(labels, 'database'), readLabel(labels, 'data-state-at')]
  const version = Number(readLabel(labels, 'postgres-version') ?? postgresVersion)
  if (database === undefined || timestamp === undefined || !Number.isInteger(version)) return undefined
  const databases = readDatabases(labels) ?? [database]
  const [maskVersion, superuser] = [readLabel(labels, 'mask-version'), readLabel(labels, 'superuser')]
  return {
    ...{ database, databases, postgresVersion: version, timestamp, sample: labels.sample === 'true' },
    ...(maskVersion && { maskVersion }),
    ...(superuser && { superuser }),
    ...(readLabel(labels, 'plan-settings') === 'true' && { hasPlanSettings: true }),
  }
}

function planSnapshots({ snapshots, volumes }: Found, notes: string[], now: string): SnapshotRecord[] {
  const planned = new Map<string, SnapshotRecord>()
  for (const snapshot of snapshots) {
    const { snapshotId: id, volumeId, labels, size } = snapshot
    const volume = volumes.find((candidate) => candidate.id === volumeId)
    const role = readLabel(labels, 'role')
    const data = dataOf(volume ?? nowhere(volumeId), labels)
    if (!data || planned.has(id) || (role !== 'base' && role !== 'scratch' && role !== 'internal')) {
      notes.push(`snapshot ${volumeId}@${id} says too little of itself, and was left alone`)
      continue
    }
    planned.set(id, {
      ...data,
      id,
      volumeId,
      size,
      published: role !== 'internal',
      state: role === 'internal' || labels.state === 'retired' ? 'retired' : 'live',
      createdAt: readLabel(labels, 'created-at') ?? now,
      cloneId: readLabel(labels, 'clone') ?? '',
      message: readLabel(labels, 'message') ?? '',
      tokenId: null,
      protected: readLabel(labels, 'protected') === 'true',
      maskVersion: data.maskVersion ?? '',
      superuser: data.superuser ?? '',
      hasPlanSettings: data.hasPlanSettings ?? false,
    })
  }
  return [...planned.values()]
}

/**
 * Stands in for what is named and not there, removed behind our back: as retired, so that it goes when nothing names it any more.
 */
function withMissing({ volumes, snapshots, clones, notes }: Plan, now: string): Plan {
  const known = new Map(snapshots.map((snapshot) => [snapshot.id, snapshot]))
  for (const { snapshotId, missing } of clones) {
    if (known.has(snapshotId)) continue
    notes.push(`snapshot ${snapshotId} is missing in the pool, though a clone stands on it`)
    const nobodys = {
      size: 0,
      published: true,
      state: 'retired',
      cloneId: '',
      sample: false,
      message: '',
      tokenId: null,
      protected: false,
      maskVersion: '',
      superuser: '',
      hasPlanSettings: false,
    } as const
    known.set(snapshotId, { ...missing, ...nobodys, id: snapshotId, createdAt: now })
  }
  const present = new Set(volumes.map(({ id }) => id))
  const lost = new Set([...known.values()].map(({ volumeId }) => volumeId).filter((id) => !present.has(id)))
  const placeholders = [...lost].map((id): VolumeRecord => {
    return { id, role: 'base', state: 'retired', createdAt: LONG_AGO, origin: null, data: null, standby: null }
  })
  return { volumes: [...volumes, ...placeholders], snapshots: [...known.values()], clones, notes }
}

function labelsRole({ labels }: FoundVolume): string | undefined {
  return readLabel(labels, 'role')
}

function nowhere(id: string): FoundVolume {
  const nothing = { origin: undefined, port: undefined, postgresVersion: undefined, login: undefined }
  return { id, labels: {}, running: false, lostWrites: false, ...nothing }
}
