import { PROFILES } from '@dblab/provision'
import type { CloneRecord } from '../catalogue/clones.ts'
import type { SnapshotRecord } from '../catalogue/snapshots.ts'
import type { VolumeState } from '../catalogue/volumes.ts'
import { LOST_WRITES } from '../cloning/explain.ts'
import { readLabel } from '../labels.ts'
import type { FoundVolume } from './find.ts'

/** A clone as it comes back. */
export interface PlannedClone extends Omit<CloneRecord, 'port'> {
  /** Null where it is another clone's: it gets one that is free. */
  port: number | null
  /** What is known of its snapshot, should that be missing. */
  missing: Pick<SnapshotRecord, 'volumeId' | 'timestamp' | 'database' | 'databases' | 'postgresVersion'>
}

/** An id has no more characters. */
const MAX_ID = 63
/** What the id of a second clone ends with: a part of its volume's. */
const SUFFIX = 8

/** The message of a clone that is as its user expects. */
export const READY = 'Database is ready'
const UNDECIDED = 'It is protected: when it is not needed any more, take that away and delete it.'

/**
 * The clones that volumes belong to, and what becomes of the volumes. A reset that was cut off leaves two volumes of one clone: the one
 * that its Postgres runs on is the clone's, or else the newest that was ready, and the other comes back as a clone of its own.
 */
export function planClones(
  volumes: readonly FoundVolume[],
  notes: string[],
  now: string,
): { clones: PlannedClone[]; states: Map<string, VolumeState> } {
  const states = new Map<string, VolumeState>()
  const candidates = new Map<string, FoundVolume[]>()
  for (const volume of volumes.filter(({ labels }) => labels.role === 'clone')) {
    const id = readLabel(volume.labels, 'clone')
    if (volume.labels.state === 'retired' || isHalfMade(volume)) states.set(volume.id, 'retired')
    else if (id !== undefined && volume.login) candidates.set(id, [...(candidates.get(id) ?? []), volume])
  }
  const clones: PlannedClone[] = []
  for (const [id, found] of candidates) {
    const [first, ...others] = found.sort(byClaim)
    if (!first) continue
    clones.push(cloneOf(id, first, now, uncertainty(first)))
    for (const other of others) {
      const second = `${id.slice(0, MAX_ID - SUFFIX - 1)}-${other.id.slice(0, SUFFIX)}`
      notes.push(`clone ${id} was being reset: its other data came back as the clone ${second}`)
      const why = `This is the other data of the clone ${id}, which was being reset when the catalogue was lost.`
      clones.push({ ...cloneOf(second, other, now, why), port: null })
    }
    for (const { id: volumeId } of found) states.set(volumeId, 'live')
  }
  return { clones: withPorts(clones), states }
}

/** Its user was never made, so nobody has ever been in it. */
function isHalfMade({ labels, login }: FoundVolume): boolean {
  return labels.state === 'pending' && login?.kind === 'missing'
}

function byClaim(a: FoundVolume, b: FoundVolume): number {
  const made = ({ labels }: FoundVolume) => readLabel(labels, 'made-at') ?? ''
  // Where both run, one was being made beside the other.
  const serves = ({ running, labels }: FoundVolume) => (running ? (labels.state === 'pending' ? 1 : 2) : 0)
  return serves(b) - serves(a) || (made(a) < made(b) ? 1 : -1)
}

/** Why the clone may not be what its user expects; undefined where it is. */
function uncertainty({ labels, login }: FoundVolume): string | undefined {
  if (login?.kind === 'unreadable') {
    return `Its data could not be read when the catalogue was made anew: ${login.why} Its login is learnt when it starts.`
  }
  if (login?.kind === 'missing') return 'Its login is not in its data any more.'
  if (labels.state === 'pending') return 'It was being made, or reset, when the catalogue was lost.'
  if (labels.status === 'RESETTING')
    return 'It was being reset when the catalogue was lost, and has the data from before.'
  if (labels.status === 'DELETING') return 'It was being deleted when the catalogue was lost.'
  return undefined
}

function cloneOf(id: string, volume: FoundVolume, now: string, why: string | undefined): PlannedClone {
  const { labels, origin, login } = volume
  const text = (key: Parameters<typeof readLabel>[1]) => readLabel(labels, key)
  const createdAt = text('created-at') ?? now
  const database = text('database') ?? ''
  return {
    id,
    ...statusOf(volume, why),
    project: text('project') ?? '',
    name: text('name') ?? '',
    username: text('username') ?? '',
    protected: labels.protected === 'true' || why !== undefined,
    deleteAt: text('delete-at') ?? null,
    createdAt,
    snapshotId: origin?.snapshotId ?? `${volume.id}-origin`,
    resetTo: null,
    volumeId: volume.id,
    port: (volume.running ? volume.port : Number(text('port'))) || volume.port || null,
    dbUsername: text('db-username') ?? '',
    dbName: text('db-name') ?? database,
    verifier: login?.kind === 'there' ? login.verifier : '',
    size: 0,
    cloningSeconds: Number(text('cloning-seconds') ?? 0),
    // Nobody knows when it was used last: it gets its whole time.
    lastUsedAt: now,
    unsafeBootId: text('unsafe-boot-id') ?? null,
    resetFailedAt: text('reset-failed-at') ?? null,
    profile: PROFILES.find((profile) => profile === labels.profile) ?? 'dev',
    steps: [],
    // The tokens were lost with the catalogue: it is the admins'.
    tokenId: null,
    missing: {
      volumeId: origin?.volumeId ?? `${volume.id}-origin`,
      timestamp: text('data-state-at') ?? createdAt,
      database,
      databases: [database],
      postgresVersion: volume.postgresVersion ?? 0,
    },
  }
}

function statusOf(
  { labels, lostWrites }: FoundVolume,
  why: string | undefined,
): Pick<CloneRecord, 'status' | 'message'> {
  if (lostWrites) return { status: 'FATAL', message: LOST_WRITES }
  if (labels.status === 'FATAL') {
    const message = 'It was FATAL when the catalogue was lost, which knew why. Reset the clone, or delete it.'
    return { status: 'FATAL', message }
  }
  return { status: 'OK', message: why === undefined ? READY : `${READY}. ${why} ${UNDECIDED}` }
}

/** One port, one clone: the first to name it. */
function withPorts(clones: PlannedClone[]): PlannedClone[] {
  const taken = new Set<number>()
  return clones.map((clone) => {
    if (clone.port === null || taken.has(clone.port)) return { ...clone, port: null }
    taken.add(clone.port)
    return clone
  })
}
