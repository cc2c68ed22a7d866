import {
  type ClientTool,
  CommandError,
  EXTENSION_ROLE,
  findAllClientTools,
  IMPORT_ROLE,
  isProvisionError,
  LAB_DATABASE,
  LAB_ROLE,
  OWNER_ROLE,
  ProvisionError,
  run,
} from '@dblab/provision'
import { type Client, escapeIdentifier } from 'pg'
import { type PlanSettings, readPlanSettings } from '../live/plan-settings.ts'
import { connectSource, explainQuery, type SourceLogin, withSource } from '../live/session.ts'

/** What is known of a server before its files are copied. */
export interface SourceFacts {
  serverMajor: number
  isStandby: boolean
  /** Of all databases that the role may see, in bytes. */
  sizeBytes: number
  /** Where its tablespaces are, there. */
  tablespaces: { oid: number; location: string }[]
  /** The name of the role with oid 10, which every cluster has. */
  bootstrapRole: string
  /** All that it is set to, by name, but for what it is set to for this database, this role or this session. */
  settings: Record<string, string>
  planSettings: PlanSettings
}

/**
 * Looks at a server whose files are wanted: whether this role may have them, and whether the lab could run them.
 *
 * @param options.anyLocale that its text is sorted by another version of a locale is no reason to refuse
 * @param options.slot one that is to be used
 * @param options.copies false where a standby has all of it already
 * @throws ProvisionError INVALID with what to run; InterruptedError
 */
export async function examineCluster(
  login: SourceLogin,
  { anyLocale, slot, copies }: { anyLocale: boolean; slot: string | undefined; copies: boolean },
): Promise<SourceFacts> {
  const facts = await withSource(login, login.address.database, async (client) => {
    const serverMajor = Math.trunc(Number(await value(client, 'SHOW server_version_num')) / 10_000)
    await requireReplication(client, login)
    if (copies) await requireRoom(client, slot !== undefined)
    await requireNoLabNames(client)
    if (slot !== undefined) await requireSlot(client, slot)
    if (!anyLocale) await requireSameLibc(client, serverMajor)
    const { rows } = await client.query<Omit<SourceFacts, 'serverMajor' | 'planSettings'>>(`
      SELECT pg_is_in_recovery() AS "isStandby",
        (SELECT sum(pg_database_size(oid))::float8 FROM pg_database WHERE has_database_privilege(oid, 'CONNECT')) AS "sizeBytes",
        (SELECT coalesce(json_agg(json_build_object('oid', oid::bigint, 'location', pg_tablespace_location(oid))), '[]')
          FROM pg_tablespace WHERE spcname NOT IN ('pg_default', 'pg_global')) AS tablespaces,
        (SELECT rolname FROM pg_roles WHERE oid = 10) AS "bootstrapRole",
        (SELECT json_object_agg(name, reset_val) FROM pg_settings
          WHERE reset_val IS NOT NULL AND source <> ALL ('{database,user,database user,client,session}')) AS settings`)
    const [row] = rows
    if (!row) throw new Error('the source answered without a row')
    return { ...row, serverMajor, planSettings: await readPlanSettings(client) }
  })
  await requireReplicationLine(login)
  return facts
}

/**
 * pg_basebackup reads servers of its own version and older ones.
 *
 * @throws ProvisionError UNAVAILABLE
 */
export async function needBaseBackup(serverMajor: number): Promise<ClientTool> {
  const tools = await findAllClientTools('pg_basebackup')
  const tool = tools.toSorted((a, b) => a.major - b.major).find(({ major }) => major >= serverMajor)
  if (tool) return tool
  const here = tools.length === 0 ? 'there is none' : `here is ${tools.map(({ version }) => version).join(', ')}`
  throw new ProvisionError(
    'UNAVAILABLE',
    `a source of PostgreSQL ${serverMajor} is copied with pg_basebackup ${serverMajor} or later, and on this machine ${here}`,
    {
      hint: `Install the package postgresql-client-${serverMajor} (apt.postgresql.org has it where the distribution does not).`,
    },
  )
}

async function requireReplication(client: Client, { address: { user } }: SourceLogin): Promise<void> {
  const may = await value(client, 'SELECT rolreplication OR rolsuper FROM pg_roles WHERE rolname = current_user')
  if (may !== true) {
    throw invalid(
      'the role may not copy the server',
      `Run there, as a superuser: ALTER ROLE ${escapeIdentifier(user)} REPLICATION.`,
    )
  }
  const level = await value(client, 'SHOW wal_level')
  if (level === 'minimal') {
    throw invalid(
      'the source writes too little WAL for a copy (wal_level=minimal)',
      'Set wal_level to replica there, and restart it.',
    )
  }
}

/** A copy takes two connections, and a slot for its own time where it has none. */
async function requireRoom(client: Client, hasSlot: boolean): Promise<void> {
  const slots = Number(await value(client, 'SHOW max_replication_slots'))
  const taken = Number(await value(client, 'SELECT count(*) FROM pg_replication_slots'))
  if (!hasSlot && slots <= taken) {
    throw invalid(
      `the source has no slot left for the time of a copy (max_replication_slots=${slots}, ${taken} in use)`,
      'Raise max_replication_slots there, and restart it.',
    )
  }
  const senders = Number(await value(client, 'SHOW max_wal_senders'))
  const busy = Number(await value(client, 'SELECT count(*) FROM pg_stat_replication'))
  if (senders - busy < 2) {
    throw invalid(
      `the source has no two connections left for copies (max_wal_senders=${senders}, ${busy} in use)`,
      'Raise max_wal_senders there, and restart it.',
    )
  }
}

/** One without a bound would fill the source's disk, should the lab be away: https://www.postgresql.org/docs/current/runtime-config-replication.html */
async function requireSlot(client: Client, slot: string): Promise<void> {
  const { rowCount } = await client.query(
    `SELECT FROM pg_replication_slots WHERE slot_name = $1 AND slot_type = 'physical'`,
    [slot],
  )
  if (rowCount === 0) {
    throw invalid(
      'the source has no physical slot of the configured name',
      `Run there: SELECT pg_create_physical_replication_slot('${slot}').`,
    )
  }
  if ((await value(client, `SELECT setting FROM pg_settings WHERE name = 'max_slot_wal_keep_size'`)) === '-1') {
    throw invalid(
      'the source keeps its log for slots without a bound, so that the lab could fill its disk',
      `Run there: ALTER SYSTEM SET max_slot_wal_keep_size = '20GB'; SELECT pg_reload_conf(). Or follow without a slot.`,
    )
  }
}

/** All of a cluster comes as it is, roles and databases by their names. */
async function requireNoLabNames(client: Client): Promise<void> {
  const { rows } = await client.query<{ what: string }>(
    `SELECT 'the role ' || rolname AS what FROM pg_roles WHERE rolname = ANY ($1)
     UNION ALL SELECT 'the database ' || datname FROM pg_database WHERE datname = $2`,
    [[LAB_ROLE, OWNER_ROLE, IMPORT_ROLE, EXTENSION_ROLE], LAB_DATABASE],
  )
  if (rows.length === 0) return
  const names = rows.map(({ what }) => what).join(', ')
  throw invalid(
    `the source has what the lab itself is called: ${names}`,
    'Rename it there (ALTER … RENAME TO …), or bring the data in as logical.',
  )
}

/** Its pg_hba.conf has lines of their own for such connections. */
async function requireReplicationLine(login: SourceLogin): Promise<void> {
  const client = await connectSource(login, login.address.database, { replication: true })
  try {
    await client.query('IDENTIFY_SYSTEM')
  } catch (error) {
    throw explainQuery(error)
  } finally {
    await client.leave()
  }
}

/**
 * glibc sorts differently from version to version, and indexes are in the order of the machine that made them. ICU's version is known once the data
 * runs here. https://wiki.postgresql.org/wiki/Locale_data_changes
 */
async function requireSameLibc(client: Client, serverMajor: number): Promise<void> {
  // Older ones have it of collations alone.
  const ofDatabases = `SELECT datcollversion FROM pg_database WHERE datlocprovider = 'c' AND datcollversion IS NOT NULL`
  const ofCollations = `SELECT collversion FROM pg_collation WHERE collprovider = 'c' AND collversion IS NOT NULL AND oid >= 16384`
  const { rows } = await client.query<[string]>({
    text: serverMajor >= 15 ? `${ofDatabases} UNION ${ofCollations}` : ofCollations,
    rowMode: 'array',
  })
  if (rows.length === 0) return
  const here = await glibcVersion()
  const others = rows.map(([version]) => version).filter((version) => version !== here)
  if (others.length === 0) return
  throw invalid(
    `text of the source is sorted by glibc ${others.join(', ')}, and this machine has ${here ?? 'another libc'}: indexes could miss rows`,
    'Run the lab on the system that the source runs on, bring the data in as logical, or take it as it is with anyLocale: true.',
  )
}

/** Undefined where the machine's libc is another. */
async function glibcVersion(): Promise<string | undefined> {
  try {
    return (await run(['getconf', 'GNU_LIBC_VERSION'])).stdout.replace(/^glibc\s+/, '').trim()
  } catch (error) {
    if (error instanceof CommandError || isProvisionError(error, 'UNAVAILABLE')) return undefined
    throw error
  }
}

async function value(client: Client, sql: string): Promise<unknown> {
  const { rows } = await client.query<unknown[]>({ text: sql, rowMode: 'array' })
  return rows[0]?.[0]
}

function invalid(message: string, hint: string): ProvisionError {
  return new ProvisionError('INVALID', message, { hint })
}
