import { dirname, join } from 'node:path'
import { LAB_DATABASE, withLabConnection } from '@dblab/provision'
import pg from 'pg'
import { createClone, deleteClone } from '../lab/clones.ts'
import type { Data } from '../lab/data.ts'
import { instanceAt } from '../lab/instances.ts'
import type { BenchLab } from '../lab/lab.ts'
import { type DifferingBytes, differingBytes } from '../measure/differing-pages.ts'
import { inTurns } from '../measure/in-turns.ts'
import { settledUse } from '../pools/settled-use.ts'
import { type Row, row, rowBeside } from './contract.ts'

/** Both change an indexed column, so that indexes are written to as well. */
const UPDATES = {
  scattered: { what: 'every hundredth row', where: 'id % 100 = 0' },
  together: { what: 'the first hundredth of the rows', where: 'id <= (select max(id) / 100 from orders)' },
} as const

interface Updated {
  /** What the pool holds more than before the clone was made; where it does not tell, as `own`. */
  taken: number
  /** What the storage says that the clone alone holds. */
  own: number
  written: DifferingBytes
}

/** What a clone takes once a hundredth of the rows of a table was updated, beside the pages that Postgres has written. */
export async function updateRows(
  lab: BenchLab,
  data: Data,
  { turns, note }: { turns: number; note: (text: string) => void },
): Promise<Row[]> {
  note(await aboutOrders(lab, data))
  const update = (where: string) => () =>
    updatedClone(lab, data, `update orders set placed_at = placed_at - interval '1 second' where ${where}`)
  const given = await inTurns(
    turns,
    { scattered: update(UPDATES.scattered.where), together: update(UPDATES.together.where) },
    0,
  )
  return (['scattered', 'together'] as const).flatMap((kind) => rowsOf(UPDATES[kind].what, given[kind]))
}

function rowsOf(what: string, updated: readonly Updated[]): Row[] {
  const total = updated.map(({ written }) => written.data + written.wal)
  const bytes = (name: string, samples: number[]) => row({ name: `${what}: ${name}`, unit: 'bytes', samples })
  return [
    rowBeside(
      { name: `${what} of \`orders\` updated: data taken`, unit: 'bytes', samples: updated.map(({ taken }) => taken) },
      { name: 'pages that are not as in the snapshot', samples: total },
    ),
    bytes(
      'what the clone alone holds, says the storage',
      updated.map(({ own }) => own),
    ),
    bytes(
      'pages of tables and indexes that are not as in the snapshot',
      updated.map(({ written }) => written.data),
    ),
    bytes(
      'pages of WAL that are not as in the snapshot',
      updated.map(({ written }) => written.wal),
    ),
  ]
}

async function updatedClone(lab: BenchLab, data: Data, statement: string): Promise<Updated> {
  const { pool } = lab
  const before = await settledUse(pool)
  const clone = await createClone(lab, data)
  const instance = await instanceAt(lab, clone.port)
  await withClient(clone.url, (client) => client.query(statement))
  await withLabConnection(instance, LAB_DATABASE, (client) => client.query('checkpoint'))
  const after = await settledUse(pool)
  const own = await pool.ownBytes(dirname(instance.dataDir))
  const written = await differingBytes(join(await pool.filesOf(data.snapshot), 'data'), instance.dataDir)
  await deleteClone(lab, clone.id)
  return { taken: before && after ? after.data - before.data : own, own, written }
}

async function aboutOrders(lab: BenchLab, data: Data): Promise<string> {
  const clone = await createClone(lab, data)
  const { rows } = await withClient(clone.url, (client) =>
    client.query<{ rows: string; row: string; heap: string; indexes: string }>(
      `select count(*) as rows, round(avg(pg_column_size(o.*))) as row, pg_relation_size('orders') as heap,
         pg_indexes_size('orders') as indexes from orders o`,
    ),
  )
  await deleteClone(lab, clone.id)
  const [about] = rows
  return `\`orders\`: ${about?.rows} rows of ${about?.row} bytes (pg_column_size, with the header), heap of ${about?.heap} bytes, indexes of ${about?.indexes}`
}

async function withClient<T>(url: string, work: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    return await work(client)
  } finally {
    await client.end()
  }
}
