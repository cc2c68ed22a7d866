import { IMPORT_ROLE, type Instance, LAB_DATABASE, ProvisionError, withLabConnection } from '@dblab/provision'
import type { Client } from 'pg'
import { countTables, vacuumTables } from '../dump/import-finish.ts'
import type { RestoreStep } from '../dump/restore-progress.ts'
import {
  type SampleTable,
  sampleExtras,
  sampleForeignKeys,
  sampleLanes,
  sampleSizes,
  sampleTypes,
} from './sample-sql.ts'

export interface SampleOptions {
  /** `shop` by default. */
  database?: string
  /** 1, the default, is about 300 MB; tests take a thousandth. */
  scale?: number
  signal?: AbortSignal | undefined
  onProgress?: ((progress: RestoreStep) => void) | undefined
}

export interface SampleResult {
  database: string
  tables: number
}

/** What a session of the fill has for its own: nothing is lost with the data, since a volume that isn't finished is thrown away. */
const sessionSettings = [
  'SET search_path TO public',
  'SET synchronous_commit TO off',
  `SET maintenance_work_mem TO '128MB'`,
  `SET work_mem TO '64MB'`,
  `SET timezone TO 'UTC'`,
]

/**
 * Makes a database of a web shop, the same at each run, in a fresh cluster that is running. Its objects belong to the import role, which must exist,
 * as those of an imported dump do.
 *
 * @throws ProvisionError ALREADY_EXISTS for the database, ABORTED, NO_SPACE, FAILED; the cluster is to be thrown away then
 */
export async function fillSample(instance: Instance, options: SampleOptions = {}): Promise<SampleResult> {
  const { database = 'shop', scale = 1, signal } = options
  const total = sampleLanes.flat().length
  let done = 0
  const report = (step: RestoreStep['step']): void =>
    options.onProgress?.({ step, doneTables: done, totalTables: total })
  report('prepare')
  const session = sampleSession(instance, database, signal)
  await createDatabase(instance, database, signal)
  await session((client) => each(client, sampleTypes))
  report('restore')
  await inLanes((table) =>
    session(async (client) => {
      await makeTable(client, table, scale)
      done++
      report('restore')
    }),
  )
  report('finish')
  await session((client) => each(client, [...sampleForeignKeys, ...sampleExtras]))
  await inLanes((table) => vacuumTables(instance, database, [table.name], signal))
  await vacuumTables(instance, database, ['monthly_sales'], signal)
  return { database, tables: await countTables(instance, database) }
}

type Session = (work: (client: Client) => Promise<void>) => Promise<void>

function sampleSession(instance: Instance, database: string, signal: AbortSignal | undefined): Session {
  return (work) =>
    withLabConnection(
      instance,
      database,
      async (client) => {
        await each(client, sessionSettings)
        await work(client)
      },
      { signal, role: IMPORT_ROLE, timeoutMs: 0 },
    )
}

async function createDatabase(instance: Instance, database: string, signal: AbortSignal | undefined): Promise<void> {
  const work = async (client: Client): Promise<void> => {
    const { rowCount } = await client.query('SELECT FROM pg_database WHERE datname = $1', [database])
    if (rowCount !== 0) {
      throw new ProvisionError('ALREADY_EXISTS', `there is a database ${database} in the cluster already`)
    }
    const owner = client.escapeIdentifier(IMPORT_ROLE)
    await client.query(
      `CREATE DATABASE ${client.escapeIdentifier(database)} OWNER ${owner} TEMPLATE template0 ENCODING 'UTF8'`,
    )
  }
  await withLabConnection(instance, LAB_DATABASE, work, { signal })
}

/** Two connections, each with its own tables. When one fails the other is waited for, so that nothing works on after the error is out. */
async function inLanes(work: (table: SampleTable) => Promise<void>): Promise<void> {
  const lanes = sampleLanes.map(async (tables) => {
    for (const table of tables) await work(table)
  })
  const failed = (await Promise.allSettled(lanes)).find((lane) => lane.status === 'rejected')
  if (failed) throw failed.reason
}

/** One transaction: with `wal_level=minimal` the rows of a table that it makes itself go past the WAL (manual, "Populating a Database"). */
async function makeTable(client: Client, table: SampleTable, scale: number): Promise<void> {
  await client.query('BEGIN')
  await each(client, [...table.create, table.fill(sampleSizes(scale)), ...table.indexes])
  await client.query('COMMIT')
}

async function each(client: Client, statements: readonly string[]): Promise<void> {
  for (const statement of statements) await client.query(statement)
}
