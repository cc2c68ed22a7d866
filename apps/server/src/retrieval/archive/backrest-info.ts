import { ProvisionError, type RecoveryTarget } from '@dblab/provision'
import { z } from 'zod'
import type { BackRest } from './backrest.ts'

/** Of `pgbackrest info --output=json`, whose keys stay what they are (pgBackRest, "Command Reference": info). */
const infoSchema = z.array(
  z.object({
    name: z.string(),
    status: z.object({ code: z.int(), message: z.string() }),
    repo: z.array(z.object({ key: z.int(), status: z.object({ code: z.int(), message: z.string() }) })).default([]),
    db: z.array(z.object({ id: z.int(), 'repo-key': z.int().default(1), version: z.string() })),
    backup: z.array(
      z.object({
        label: z.string(),
        type: z.string(),
        error: z.boolean().nullish(),
        database: z.object({ id: z.int(), 'repo-key': z.int().default(1) }),
        info: z.object({ size: z.number() }),
        timestamp: z.object({ stop: z.number() }),
        lsn: z.object({ stop: z.string() }).nullish(),
        tablespace: z.array(z.object({ oid: z.int(), name: z.string() })).nullish(),
      }),
    ),
  }),
)

type Stanza = z.infer<typeof infoSchema>[number]
type Listed = Stanza['backup'][number]

export interface Backup {
  label: string
  type: string
  /** In the key of the repository that has it. */
  repo: number
  endedAt: Date
  /** Of the data directory and its tablespaces. */
  sizeBytes: number
  major: number
  tablespaces: readonly { oid: number; name: string }[]
  /** pgBackRest found pages in it whose checksums are wrong. */
  hasBadPages: boolean
}

export interface Choice {
  stanza: string
  /** Its label; undefined for the newest that the target can be reached from. */
  set: string | undefined
  target: RecoveryTarget | undefined
}

/**
 * The backup that is to be restored.
 *
 * @throws ProvisionError NOT_FOUND where there is none, INVALID where none is old enough for the target
 */
export async function findBackup(backrest: BackRest, choice: Choice, signal: AbortSignal): Promise<Backup> {
  const stanza = requireStanza(backrest, choice.stanza, await readInfo(backrest, [], signal))
  const listed = chooseBackup(stanza.backup, choice)
  const repo = listed.database['repo-key']
  const one = await readInfo(backrest, [`--repo=${repo}`, `--set=${listed.label}`], signal)
  const { id } = listed.database
  const version = stanza.db.find((db) => db.id === id && db['repo-key'] === repo)?.version
  if (version === undefined) throw new Error('pgbackrest did not say of which PostgreSQL a backup is')
  return {
    ...{ label: listed.label, type: listed.type, repo, major: Number.parseInt(version, 10) },
    ...{ endedAt: new Date(listed.timestamp.stop * 1000), sizeBytes: listed.info.size, hasBadPages: !!listed.error },
    tablespaces: one.find(({ name }) => name === choice.stanza)?.backup[0]?.tablespace ?? [],
  }
}

async function readInfo(backrest: BackRest, options: string[], signal: AbortSignal): Promise<Stanza[]> {
  const argv = backrest.argv('info', ['--log-level-stderr=warn', '--output=json', ...options])
  const parsed = infoSchema.safeParse(JSON.parse(await backrest.run('it looked for backups', argv, { signal })))
  if (parsed.success) return parsed.data
  throw new ProvisionError('UNAVAILABLE', 'pgbackrest tells of its backups in a form that the lab does not know', {
    cause: parsed.error,
    hint: 'The lab knows pgBackRest 2.45 and later.',
  })
}

/** Statuses of src/command/info/info.c: 1 and 3 for what is not there, 2 without backups, 99 where a repository can't be read. */
function requireStanza(backrest: BackRest, name: string, stanzas: readonly Stanza[]): Stanza {
  const stanza = stanzas.find((one) => one.name === name)
  if (stanza && stanza.backup.length > 0) return stanza
  const unread = stanza?.repo.find(({ status }) => status.code === 99)
  if (unread) {
    const [first = ''] = unread.status.message.split('\n')
    throw new ProvisionError(
      'UNAVAILABLE',
      `repository ${unread.key} of pgbackrest can't be read: ${backrest.clean(first)}`,
      {
        hint: 'It is read by the account that runs Postgres. See that its storage is there and lets that account in, and that its cipher is the right one.',
      },
    )
  }
  if (stanza?.status.code === 2) {
    throw new ProvisionError('NOT_FOUND', `the stanza ${JSON.stringify(name)} has no backup yet`, {
      hint: `Take one: pgbackrest --stanza=${name} backup`,
    })
  }
  throw new ProvisionError('NOT_FOUND', `pgbackrest finds no stanza ${JSON.stringify(name)} in its repository`, {
    hint: 'See that it is spelt as in "pgbackrest info", that the lab reads the configuration which names its repository, and that the disk of the repository is there.',
  })
}

type Eligible = Pick<Listed, 'label' | 'timestamp' | 'lsn'>

/** @throws ProvisionError NOT_FOUND, INVALID: see `findBackup` */
export function chooseBackup<B extends Eligible>(backups: readonly B[], { set, target }: Omit<Choice, 'stanza'>): B {
  const newest = backups.toSorted((a, b) => b.timestamp.stop - a.timestamp.stop)
  const found = newest.find((backup) => (set === undefined ? isBefore(backup, target) : backup.label === set))
  if (found) return found
  const labels = newest.slice(0, 5).map(({ label }) => label)
  if (set !== undefined) {
    throw new ProvisionError('NOT_FOUND', 'the repository has no backup of the label that set names', {
      hint: `Its newest are: ${labels.join(', ')}.`,
    })
  }
  const oldest = newest.at(-1)
  throw new ProvisionError('INVALID', 'every backup of the repository is newer than the target of the recovery', {
    hint: `Choose one after the oldest backup, ${oldest?.label}, ended: ${new Date((oldest?.timestamp.stop ?? 0) * 1000).toISOString()}.`,
  })
}

/** The target lies where a recovery from this backup is consistent already. */
function isBefore({ timestamp, lsn }: Eligible, target: RecoveryTarget | undefined): boolean {
  if (target === undefined || target === 'immediate') return true
  if ('time' in target) return timestamp.stop * 1000 <= target.time.getTime()
  return lsn?.stop === undefined || toNumber(lsn.stop) <= toNumber(target.lsn)
}

function toNumber(lsn: string): bigint {
  const [high = '0', low = '0'] = lsn.split('/')
  return (BigInt(`0x${high}`) << 32n) | BigInt(`0x${low}`)
}
