import { lstat, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { ClusterVolumes } from '../cluster-volumes.ts'
import { ProvisionError } from '../errors.ts'
import { exists } from '../files.ts'
import { SUPPORTED_MAJORS } from '../postgres/binaries.ts'
import { clusterControl, clusterMajor } from '../postgres/cluster.ts'
import type { ControlData } from '../postgres/control-file.ts'
import type { Account, PostgresRuntime } from '../postgres/runtime.ts'
import type { AccountFiles } from './account-files.ts'
import { findSettings, type KeptSettings, settingsToKeep } from './kept-settings.ts'
import { gatherLinked } from './links.ts'
import type { Places } from './places.ts'
import { quarantine } from './quarantine.ts'
import { checkTree } from './tree-check.ts'

/** A cluster that came from elsewhere, as it says itself what it is. */
export interface ArrivedCluster {
  major: number
  control: ControlData
  /** It is a backup that was taken of a running server: recovery has to begin where that says. */
  hasBackupLabel: boolean
}

/** Without one of these a copy is no cluster. */
const REQUIRED = ['PG_VERSION', join('global', 'pg_control'), 'base', 'pg_wal'] as const

/** Of a source, beside what its copy has. */
export interface SourceKnowledge {
  /**
   * Its settings as pg_settings has them, such as where a package keeps postgresql.conf outside of the data directory (Debian's). Only those
   * that decide what statements mean are kept, for every clone.
   */
  settingsOfSource?: Readonly<Record<string, string>> | undefined
}

/** What is known of a cluster's own settings. */
export interface FileKnowledge {
  /** Of its files, where they say all of it: those that decide plans are among them. */
  settingsOfFiles: Readonly<Record<string, string>> | undefined
}

export interface Bringing {
  /** Puts the cluster where `places` say: files of the account's own, on which no server runs. */
  bring: (places: Places, signal: AbortSignal | undefined) => Promise<unknown>
  signal?: AbortSignal | undefined
}

export async function bringInto(places: Places, files: AccountFiles, { bring, signal }: Bringing): Promise<void> {
  await files.makeDirectories([places.dataDir, places.tablespacesDir])
  await bring(places, signal)
  signal?.throwIfAborted()
}

/**
 * Leaves of what was brought the data, all of it in the volume, with which a server can start.
 *
 * @throws as `findCluster`; INVALID for what lies elsewhere
 */
export async function takeIn(
  places: Places,
  { runtime, settings }: ClusterVolumes,
  files: AccountFiles,
  given: SourceKnowledge['settingsOfSource'],
): Promise<ArrivedCluster & KeptSettings & FileKnowledge & { removed: string[] }> {
  const cluster = await findCluster(places, runtime, settings, files)
  const { dataDir } = places
  await gatherLinked(places, files)
  const found = await findSettings(dataDir, files)
  const { kept, notKept } = await settingsToKeep(found, cluster.major, { runtime, given })
  const settingsOfFiles = found.isWhole ? Object.fromEntries(found.values) : undefined
  const { walSegmentBytes } = cluster.control
  const removed = await quarantine(dataDir, { walSegmentBytes, kept }, files)
  await checkTree(places.volumePath, runtime.account)
  return { ...cluster, kept, notKept, settingsOfFiles, removed }
}

/**
 * Looks at what was brought before anything of it is changed but the mode of its directory, and the postmaster.pid that it carries.
 *
 * @param settings the clones' own, which a server of its major must take
 * @throws ProvisionError NOT_FOUND where nothing is, INVALID where it is no whole cluster of the account's, ALREADY_EXISTS where a server
 * runs on it, UNAVAILABLE without binaries of its major
 */
async function findCluster(
  { dataDir }: Places,
  runtime: PostgresRuntime,
  settings: Readonly<Record<string, string>>,
  files: AccountFiles,
): Promise<ArrivedCluster> {
  await assertCluster(dataDir, runtime.account)
  await files.makePrivate(dataDir)
  await runtime.claim(dataDir)
  const major = await clusterMajor(dataDir)
  if (!SUPPORTED_MAJORS.some((supported) => supported === major)) {
    throw new ProvisionError('INVALID', `the data is of PostgreSQL ${major}, which the lab does not know`, {
      hint: `It knows PostgreSQL ${SUPPORTED_MAJORS[0]} to ${SUPPORTED_MAJORS.at(-1)}. Bring it in as a dump.`,
    })
  }
  await runtime.checkSettings(settings, major)
  const control = await clusterControl(dataDir)
  return { major, control, hasBackupLabel: await exists(join(dataDir, 'backup_label')) }
}

async function assertCluster(dataDir: string, account: Account): Promise<void> {
  const top = await lstat(dataDir)
  if (!top.isDirectory())
    throw notWhole('data is not a directory', 'Bring the data directory itself, not a link to it.')
  const names = await readdir(dataDir)
  if (names.length === 0) throw new ProvisionError('NOT_FOUND', 'nothing was brought into the data directory')
  const owners = await Promise.all(names.map(async (name) => (await lstat(join(dataDir, name))).uid))
  if ([top.uid, ...owners].some((uid) => uid !== account.uid)) {
    throw notWhole(
      `it does not belong to ${account.name}, who runs Postgres`,
      `Have the copy made by ${account.name}, or chown it.`,
    )
  }
  for (const name of REQUIRED) {
    if (await exists(join(dataDir, name))) continue
    throw notWhole(`${name} is missing`, 'Take the copy again, whole, and with its WAL.')
  }
}

function notWhole(what: string, hint: string): ProvisionError {
  return new ProvisionError('INVALID', `what was brought is no data directory of Postgres': ${what}`, { hint })
}
