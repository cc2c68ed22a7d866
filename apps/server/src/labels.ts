import type { Labels } from '@dblab/provision'
import type { CloneRecord } from './catalogue/clones.ts'
import type { SnapshotRecord } from './catalogue/snapshots.ts'
import type { BaseData, StandbyData, VolumeState } from './catalogue/volumes.ts'

/**
 * What the storage itself is told of a volume or a snapshot, so that the catalogue can be made anew of it. Whoever may look at the storage
 * can read it (the properties of a ZFS dataset are open to every account), so it never holds a verifier, nor words of a log.
 */
export type Role = 'base' | 'clone' | 'scratch' | 'internal' | 'standby' | 'warm'

/** Every label that the lab gives. `role` says which of the others there are. */
type Key =
  | 'role'
  | 'state'
  | 'made-at'
  | 'data-state-at'
  | 'database'
  | 'databases'
  | 'postgres-version'
  | 'sample'
  | 'mask-version'
  | 'superuser'
  | 'plan-settings'
  | 'source'
  | 'message'
  | 'size'
  | 'clone'
  | 'created-at'
  | 'status'
  | 'port'
  | 'db-username'
  | 'db-name'
  | 'project'
  | 'name'
  | 'username'
  | 'protected'
  | 'delete-at'
  | 'cloning-seconds'
  | 'unsafe-boot-id'
  | 'reset-failed-at'
  | 'profile'

type Texts = Partial<Record<Key, string | number | boolean | null | undefined>>

/** The value of a label has no more (`checkLabels`). */
const MAX_CHARACTERS = 1024
/** Control characters, halves of pairs, what breaks a line, and what stands for them. */
const UNPRINTABLE = /[%\p{Cc}\p{Cs}\p{Zl}\p{Zp}]/u

/** Of a clone's volume. */
export function cloneLabels(
  clone: Omit<CloneRecord, 'verifier'>,
  of: Pick<SnapshotRecord, 'database' | 'timestamp'>,
  volume: { state: VolumeState; createdAt: string },
): Labels {
  return toLabels({
    role: 'clone',
    state: volume.state,
    'made-at': volume.createdAt,
    'data-state-at': of.timestamp,
    database: of.database,
    clone: clone.id,
    'created-at': clone.createdAt,
    status: clone.status,
    port: clone.port,
    'db-username': clone.dbUsername,
    'db-name': clone.dbName,
    project: clone.project,
    name: clone.name,
    username: clone.username,
    protected: clone.protected,
    'delete-at': clone.deleteAt,
    'cloning-seconds': clone.cloningSeconds,
    'unsafe-boot-id': clone.unsafeBootId,
    'reset-failed-at': clone.resetFailedAt,
    profile: clone.profile,
  })
}

/** Of a volume that will be a clone's. */
export function warmLabels(of: Pick<SnapshotRecord, 'database' | 'timestamp'>, createdAt: string): Labels {
  return toLabels({ role: 'warm', 'made-at': createdAt, 'data-state-at': of.timestamp, database: of.database })
}

/** Of one that was handed to somebody, and not labelled for it any more: all that is known of the clone. */
export function handedOverLabels(labels: Labels, volumeId: string, username: string): Labels {
  return { ...labels, ...toLabels({ role: 'clone', state: 'pending', clone: volumeId, 'db-username': username }) }
}

/** Of a snapshot. */
export function snapshotLabels(
  role: Role,
  of: BaseData & Partial<Pick<SnapshotRecord, 'cloneId' | 'createdAt' | 'message' | 'size' | 'protected'>>,
): Labels {
  return toLabels({
    ...dataTexts(of),
    role,
    'created-at': of.createdAt,
    message: of.message,
    clone: of.cloneId || undefined,
    size: of.size || undefined,
    protected: of.protected || undefined,
  })
}

/** Of a base, once what is in it is known. */
export function baseLabels(data: BaseData, volume: { state: VolumeState; createdAt: string }): Labels {
  return toLabels({ ...dataTexts(data), role: 'base', state: volume.state, 'made-at': volume.createdAt })
}

/** Of a standby that follows. */
export function standbyLabels(standby: StandbyData, volume: { state: VolumeState; createdAt: string }): Labels {
  const { source, superuser } = standby
  return toLabels({ role: 'standby', state: volume.state, 'made-at': volume.createdAt, source, superuser })
}

function dataTexts({
  database,
  databases,
  postgresVersion,
  timestamp,
  sample,
  maskVersion,
  superuser,
  hasPlanSettings,
}: BaseData): Texts {
  const names = databases.map(encodeURIComponent).join(' ')
  return {
    'data-state-at': timestamp,
    database,
    // Half a list would be taken for a whole one.
    databases: names.length <= MAX_CHARACTERS ? names : undefined,
    'postgres-version': postgresVersion,
    sample,
    'mask-version': maskVersion || undefined,
    superuser: superuser || undefined,
    'plan-settings': hasPlanSettings || undefined,
  }
}

/** Of what nobody uses any more, and stands for the sake of others. */
export function retiredLabels(labels: Labels): Labels {
  return { ...labels, state: 'retired' }
}

/** The texts of labels, as they were before they were made printable. */
export function readLabel(labels: Labels, key: Key): string | undefined {
  const value = labels[key]
  if (value === undefined) return undefined
  try {
    return decodeURIComponent(value)
  } catch (error) {
    if (!(error instanceof URIError)) throw error
    // Nobody but us writes labels; whoever did knows what it means.
    return value
  }
}

/** Of the label `databases`, or undefined where it has none. */
export function readDatabases(labels: Labels): string[] | undefined {
  const names = labels.databases?.split(' ').filter((name) => name !== '')
  return names?.map((name) => decodeURIComponent(name))
}

function toLabels(texts: Texts): Labels {
  const present = Object.entries(texts).filter(([, value]) => value !== null && value !== undefined)
  return Object.fromEntries(
    present.map(([key, value]) => [key, key === 'databases' ? String(value) : printable(String(value))]),
  )
}

/** Cut where it is too long: a name of a thousand characters is known by its first ones. */
function printable(text: string): string {
  let label = ''
  for (const character of text.toWellFormed()) {
    const next = UNPRINTABLE.test(character) ? encodeURIComponent(character) : character
    if (label.length + next.length > MAX_CHARACTERS) break
    label += next
  }
  return label
}
