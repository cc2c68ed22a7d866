import { readFile, stat } from 'node:fs/promises'
import { type Account, isSystemError, ProvisionError, type StorageDriver } from '@dblab/provision'
import type { Environment } from '../config/load.ts'
import type { SourceConfig } from '../config/retrieval.ts'
import { archiveOf } from './archive/configured-archive.ts'
import { DirectorySource } from './directory/directory-source.ts'
import { PoolSource } from './directory/pool-source.ts'
import { FileSource } from './dump/file-source.ts'
import { parseSourceUrl } from './live/address.ts'
import { LogicalSource } from './logical/logical-source.ts'
import type { Follower } from './physical/follower.ts'
import { PhysicalSource } from './physical/physical-source.ts'
import type { Source } from './source.ts'

export interface SourceWorld {
  /** Runs the tools. */
  account: Account
  loginDirectories: { source: string; import: string }
  labMajor: () => Promise<number>
  /** Rejects where the lab has no Postgres of that major. */
  requireMajor: (major: number) => Promise<unknown>
  storage: StorageDriver
  /** Which generations are kept: so many, and for so long. */
  keep: { count: number; days?: number | undefined }
  /** What follows a source for which that is configured. */
  follower?: ((config: PhysicalConfig) => Follower | undefined) | undefined
  environment: Environment
}

export type PhysicalConfig = Extract<SourceConfig, { kind: 'physical' }>

export function slotOf({ follow }: PhysicalConfig): string | undefined {
  return typeof follow === 'object' ? follow.slot : undefined
}

/** What a configured source is. */
export function toSource(config: SourceConfig, world: SourceWorld): Source {
  const { account, loginDirectories, labMajor, requireMajor, environment, follower } = world
  if (config.kind === 'file') {
    return new FileSource({ path: config.path, account, loginDirectory: loginDirectories.import })
  }
  if (config.kind === 'archive') return archiveOf(config, world)
  if (config.kind === 'directory') {
    const { path, from, snapshots, directory, database, anyLocale } = config
    if (path !== undefined) return new DirectorySource({ path, database, anyLocale, account, requireMajor })
    const { count, days } = world.keep
    const most = snapshots === 'all' ? count : 1
    return new PoolSource({ storage: world.storage, from: from ?? '', most, days, directory, database, anyLocale })
  }
  if (config.kind === 'physical') {
    const { anyLocale, maxRate: maxRateBytes } = config
    const slot = slotOf(config)
    return new PhysicalSource({
      login: { address: parseSourceUrl(config.url), password: () => readPassword(config, environment) },
      ...{
        anyLocale,
        maxRateBytes,
        slot,
        follower: follower?.(config),
        account,
        loginDirectory: loginDirectories.source,
        requireMajor,
      },
    })
  }
  const { schemas, tables, excludeSchemas, excludeTables, excludeTableData, excludeLargeObjects } = config
  return new LogicalSource({
    login: { address: parseSourceUrl(config.url), password: () => readPassword(config, environment) },
    databases: config.databases ?? [],
    selection: { schemas, tables, excludeSchemas, excludeTables, excludeTableData, excludeLargeObjects },
    ...{ jobs: config.jobs, compress: DUMP_COMPRESSION, maxSnapshotMs: config.maxSnapshotMinutes * 60_000 },
    ...{ anyLocale: config.anyLocale, account, loginDirectories, labMajor },
  })
}

/** gzip's quickest: a dump is read once, on the machine that wrote it. */
const DUMP_COMPRESSION = '1'

export async function readPassword(
  { passwordEnv, passwordFile }: { passwordEnv?: string | undefined; passwordFile?: string | undefined },
  environment: SourceWorld['environment'],
): Promise<string | undefined> {
  if (passwordFile !== undefined) return readSecret(passwordFile)
  return passwordEnv === undefined ? undefined : environment(passwordEnv) || undefined
}

/**
 * The text of a file that its owner alone may read, without the line break at its end.
 *
 * @throws ProvisionError INVALID
 */
async function readSecret(file: string): Promise<string> {
  try {
    if (((await stat(file)).mode & 0o077) !== 0) {
      throw new ProvisionError('INVALID', `the password file ${file} can be read by others`, {
        hint: `Close it to them: chmod 600 ${file}.`,
      })
    }
    return (await readFile(file, 'utf8')).replace(/\r?\n$/, '')
  } catch (error) {
    if (!isSystemError(error)) throw error
    throw new ProvisionError('INVALID', `the password file ${file} can't be read (${error.code})`, {
      cause: error,
      hint: 'Correct passwordFile: a path that is not absolute hangs on the directory that the server was started in.',
    })
  }
}
