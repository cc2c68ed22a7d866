import { isProvisionError, type RecoveryTarget, SUPPORTED_MAJORS } from '@dblab/provision'
import type { SourceConfig } from '../../config/retrieval.ts'
import type { SourceWorld } from '../configured-sources.ts'
import type { Source } from '../source.ts'
import { BackRestSource } from './backrest-source.ts'
import { CommandSource } from './command-source.ts'

type ArchiveConfig = Extract<SourceConfig, { kind: 'archive' }>

/** What a configured archive is. */
export function archiveOf(config: ArchiveConfig, world: SourceWorld): Source {
  const { account, environment, requireMajor, loginDirectories } = world
  const { database, anyLocale, restoreCommand, notFoundStatus } = config
  const target = targetOf(config.recovery)
  const common = { database, anyLocale, timeoutMs: config.timeoutMinutes * 60_000 }
  if (config.pgbackrest) {
    const { stanza, config: file, repo, set, options, secrets } = config.pgbackrest
    return new BackRestSource({
      ...common,
      ...{ config: { stanza, config: file, repo, options, secrets }, set, target, requireMajor },
      world: { account, environment, loginDirectory: loginDirectories.source },
    })
  }
  return new CommandSource({
    ...common,
    ...{ command: config.command ?? [], variables: config.environment, account, environment },
    recovery: { restoreCommand, notFoundStatus, target },
    majors: () => majorsOf(requireMajor),
  })
}

function targetOf({ immediate, time, lsn }: ArchiveConfig['recovery']): RecoveryTarget | undefined {
  if (time !== undefined) return { time: new Date(time) }
  if (lsn !== undefined) return { lsn }
  return immediate ? 'immediate' : undefined
}

async function majorsOf(requireMajor: SourceWorld['requireMajor']): Promise<number[]> {
  const majors: number[] = []
  for (const major of SUPPORTED_MAJORS) {
    try {
      await requireMajor(major)
      majors.push(major)
    } catch (error) {
      if (!isProvisionError(error, 'UNAVAILABLE')) throw error
    }
  }
  return majors
}
