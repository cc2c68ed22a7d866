import { isProvisionError, type PostgresRuntime, type Profile, profileSettings } from '@dblab/provision'
import type { Catalogue } from '../catalogue/catalogue.ts'
import { ConfigError } from '../config/load.ts'
import type { Config } from '../config/schema.ts'
import type { Logger } from '../log.ts'
import { toMilliseconds } from '../time.ts'

/**
 * A Postgres that can't run, or a setting that it refuses, would keep every clone from coming up: it is told here, before anything is made,
 * started or stopped.
 *
 * @throws ConfigError; ProvisionError UNAVAILABLE for a lab without data that has no Postgres to make some with
 */
export async function checkPostgres(
  runtime: PostgresRuntime,
  { snapshots }: Catalogue,
  config: Config,
  log: Logger,
): Promise<void> {
  const newest = snapshots.listPublished()[0]
  try {
    if (!newest) await runtime.check()
    await runtime.checkSettings(cloneSettings(config), newest?.postgresVersion)
  } catch (error) {
    if (isProvisionError(error, 'INVALID'))
      throw new ConfigError(`postgres.settings: ${error.message}`, { cause: error })
    if (!isProvisionError(error, 'UNAVAILABLE')) throw error
    if (config.postgres.binDir) throw new ConfigError(`postgres.binDir: ${error.message}`, { cause: error })
    if (!newest) throw error
    // The clones that run go on without it.
    log.error('there is no Postgres for the newest data', { error })
  }
}

/** What every clone's Postgres is started with, over the lab's defaults. */
export function cloneSettings(config: Config): Record<string, string> {
  return Object.fromEntries(Object.entries(config.postgres.settings).map(([name, value]) => [name, toSetting(value)]))
}

/** How long a clone's Postgres may take until it is ready. */
export function startDeadlines({ postgres: { startSeconds, recoverySeconds } }: Config): {
  startMs: number
  recoveryMs: number
} {
  return { startMs: toMilliseconds(startSeconds), recoveryMs: toMilliseconds(recoverySeconds) }
}

/** A profile is as safe in each of them. */
const NEWEST_MAJOR = 18

/** YAML's `on` and `true` arrive as booleans. */
function toSetting(value: string | number | boolean): string {
  if (typeof value === 'boolean') return value ? 'on' : 'off'
  return String(value)
}

/** Postgres takes any beginning of these words that is one of no other ("Setting Parameters"). */
export function isUnsafe(config: Config, profile: Profile): boolean {
  const { fsync = 'on' } = { ...profileSettings(profile, NEWEST_MAJOR), ...cloneSettings(config) }
  return /^(of|off|f|fa|fal|fals|false|n|no|0)$/i.test(fsync)
}
