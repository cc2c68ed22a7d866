import type { RetrievalRun } from '@dblab/models'
import { findBinaries, type PostgresBinaries } from '@dblab/provision'
import { isRoot } from '@dblab/provision/testbed'
import { Client } from 'pg'
import { eventually, TestLab } from '../support/lab.ts'
import { tools } from './bring-in.ts'
import { DUMP_PASSWORD } from './live-source.ts'

const { usable } = await findBinaries()

/** A source's Postgres: the system's, whose client programs are there as well. */
export const sourceBinaries = usable.find(({ source, major }) => source === 'system' && major === tools.pg_dump?.major)

/** Empty, or why nothing can be refreshed here: for a test's title. */
export const lacking = sourceBinaries ? '' : " (skipped: no PostgreSQL of the system's with its client programs)"

export function needSource(): PostgresBinaries {
  if (!sourceBinaries) throw new Error('there is no Postgres for a source')
  return sourceBinaries
}

type Retrieval = Record<string, unknown>

/** A lab with these sources, on its own pool where that can be made. */
export function labOf(
  retrieval: Retrieval,
  config: Record<string, unknown> = {},
  env: Record<string, string> = {},
): Promise<TestLab> {
  return TestLab.make({
    driver: isRoot ? 'btrfs' : 'copy',
    config: { retrieval: { retrySeconds: 0.1, ...retrieval }, ...config },
    env: { DUMP_PASSWORD, ...env },
  })
}

export function logical(url: string, more: Record<string, unknown> = {}): Record<string, unknown> {
  return { kind: 'logical', url, passwordEnv: 'DUMP_PASSWORD', ...more }
}

export function physical(url: string, more: Record<string, unknown> = {}): Record<string, unknown> {
  return { kind: 'physical', url, passwordEnv: 'DUMP_PASSWORD', ...more }
}

/** The run under way, or the last one, once it has ended. */
export async function ended(lab: TestLab, timeoutMs = 120_000): Promise<RetrievalRun> {
  let last: RetrievalRun | undefined
  await using client = lab.client()
  await eventually(
    'the refresh has ended',
    async () => {
      const { current, runs } = await client.retrieval.get()
      last = runs[0]
      return current === undefined && last !== undefined
    },
    timeoutMs,
  )
  if (!last) throw new Error('there was no run')
  return last
}

/** The same for one that is to have succeeded: a failure is told in its own words. */
export async function done(lab: TestLab, timeoutMs?: number): Promise<RetrievalRun> {
  const run = await ended(lab, timeoutMs)
  if (run.outcome !== 'DONE') throw new Error(`${run.outcome}: ${JSON.stringify([run.error, run.log], undefined, 2)}`)
  return run
}

/** A fingerprint of every table of a database: how many rows, and a sum that no order changes. */
export async function checksums(client: Client): Promise<Record<string, string>> {
  const { rows } = await client.query<{ name: string }>(
    `SELECT format('%I.%I', n.nspname, c.relname) AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE c.relkind = 'r' AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' ORDER BY 1`,
  )
  const sums: Record<string, string> = {}
  for (const { name } of rows) {
    const { rows: found } = await client.query<{ sum: string }>(
      `SELECT count(*) || ':' || coalesce(sum(('x' || substr(md5(t::text), 1, 15))::bit(60)::bigint::numeric), 0) AS sum FROM ${name} t`,
    )
    sums[name] = found[0]?.sum ?? ''
  }
  return sums
}

/** Work in a new clone's database, which goes afterwards. */
export async function inClone<T>(lab: TestLab, database: string, work: (client: Client) => Promise<T>): Promise<T> {
  await using api = lab.client()
  await using clone = await api.clones.create({ db: { dbName: database } })
  const client = new Client({ connectionString: clone.connectionString() })
  await client.connect()
  try {
    return await work(client)
  } finally {
    await client.end()
  }
}
