import { join } from 'node:path'
import { failPoint, type Places, ProvisionError, type RecoverySpec, type RecoveryTarget } from '@dblab/provision'
import type { CheckedSource, Reporter, Source } from '../source.ts'
import { BackRest, type BackRestConfig, type BackRestWorld } from './backrest.ts'
import { type Backup, findBackup } from './backrest-info.ts'
import { needProgram } from './program.ts'
import { withinTime } from './time-limit.ts'

export interface BackRestOptions {
  config: BackRestConfig
  /** The label of a backup; undefined for the newest that fits. */
  set: string | undefined
  target: RecoveryTarget | undefined
  /** The main one; undefined for the first there is. */
  database: string | undefined
  anyLocale: boolean
  timeoutMs: number
  world: Omit<BackRestWorld, 'program'>
  /** Rejects where the lab has no Postgres of that major. */
  requireMajor: (major: number) => Promise<unknown>
}

/** It reads a few small files. */
const INFO_TIMEOUT_MS = 5 * 60_000

const INSTALL = 'Install pgBackRest: the package pgbackrest on Debian and Ubuntu (apt.postgresql.org has newer ones).'

/** A backup in a repository of pgBackRest's, and the WAL that is archived there. */
export class BackRestSource implements Source {
  readonly kind = 'archive'
  readonly description: string
  readonly #options: BackRestOptions

  constructor(options: BackRestOptions) {
    this.#options = options
    this.description = `pgBackRest stanza ${options.config.stanza}`
  }

  async check(reporter: Reporter): Promise<CheckedSource> {
    const { config, set, target, database, anyLocale, requireMajor } = this.#options
    const world = { ...this.#options.world, program: await needProgram('pgbackrest', INSTALL) }
    const backup = await this.#find(world, reporter.signal)
    await requireMajor(backup.major)
    this.#tell(backup, reporter)
    let opened: BackRest | undefined
    return {
      ...{ brings: 'cluster', sample: false, database, anyLocale, neededBytes: backup.sizeBytes },
      message: `From pgBackRest: ${config.stanza} ${backup.label}${set === undefined ? '' : ', as configured'}`,
      recovery: (places) => recoveryOf(opened, places, target),
      copy: async (places, told) => {
        opened = await BackRest.open(config, world)
        await this.#restore(opened, backup, places, told)
      },
      release: async () => opened?.[Symbol.asyncDispose](),
    }
  }

  async #find(world: BackRestWorld, signal: AbortSignal): Promise<Backup> {
    const { config, set, target, timeoutMs } = this.#options
    await using backrest = await BackRest.open(config, world)
    return await withinTime('pgbackrest info', Math.min(timeoutMs, INFO_TIMEOUT_MS), signal, (within) =>
      findBackup(backrest, { stanza: config.stanza, set, target }, within),
    )
  }

  #tell({ label, type, repo, endedAt, major, sizeBytes, tablespaces, hasBadPages }: Backup, reporter: Reporter): void {
    const among =
      tablespaces.length === 0
        ? ''
        : `, with tablespaces ${tablespaces.map(({ name }) => JSON.stringify(name)).join(', ')}`
    reporter.info(
      `the ${type} backup ${label} of repository ${repo}, which ended at ${endedAt.toISOString()}, is of PostgreSQL ${major}, ${Math.ceil(sizeBytes / 1e6)} MB${among}`,
    )
    if (hasBadPages) reporter.warn(`pgbackrest found pages with wrong checksums when it took ${label}`)
  }

  async #restore(backrest: BackRest, backup: Backup, places: Places, reporter: Reporter): Promise<void> {
    const argv = backrest.argv('restore', restoreOptions(backup, places))
    const onLine = (line: string) => tellProgress(line, backup.sizeBytes, reporter)
    await withinTime('pgbackrest restore', this.#options.timeoutMs, reporter.signal, (signal) =>
      backrest.run('it restored the backup', argv, { signal, onLine }),
    )
    await failPoint('retrieval.copied')
  }
}

function restoreOptions({ label, repo, tablespaces }: Backup, { dataDir, tablespacesDir }: Places): string[] {
  return [
    ...['--log-level-stderr=detail', `--repo=${repo}`, `--set=${label}`],
    // Of a configuration for the host of the repository, in which the cluster is elsewhere.
    ...['--reset-pg1-host', `--pg1-path=${dataDir}`],
    // Settings of recovery are the lab's. Linked directories come as directories: --link-all is left out.
    '--type=none',
    ...tablespaces.map(({ oid }) => `--tablespace-map=${oid}=${join(tablespacesDir, String(oid))}`),
    // For a backup of which an older pgBackRest does not say what it has.
    `--tablespace-map-all=${tablespacesDir}`,
  ]
}

/** `DETAIL: restore file /path (8KB, 12.34%) checksum …`: the percentage is of the whole. */
function tellProgress(line: string, bytesTotal: number, reporter: Reporter): void {
  const percent = /DETAIL: restore file .*\(\S+, (\d+(?:\.\d+)?)%\)/.exec(line)?.[1]
  if (percent === undefined) return
  reporter.progress({ step: 'COPY', bytesDone: Math.round((Number(percent) / 100) * bytesTotal), bytesTotal })
}

function recoveryOf(
  backrest: BackRest | undefined,
  { dataDir }: Places,
  target: RecoveryTarget | undefined,
): RecoverySpec {
  if (!backrest) throw new ProvisionError('FAILED', 'the backup is to be restored before its WAL is asked for')
  const options = [
    ...['--log-level-stderr=error', '--reset-pg1-host', `--pg1-path=${dataDir}`],
    // It would fetch ahead into a directory that the source's own recovery may use.
    '--no-archive-async',
  ]
  return {
    restoreCommand: [...backrest.argv('archive-get', options).map((text) => text.replaceAll('%', '%%')), '%f', '%p'],
    // All else is an error of the repository (pgBackRest, src/command/archive/get/get.c).
    notFoundStatus: 1,
    target,
  }
}
