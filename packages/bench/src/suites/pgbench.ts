import { findAllClientTools } from '@dblab/provision'
import pg from 'pg'
import { type BareSide, bareSide } from '../baselines/bare-side.ts'
import { fullCopy } from '../baselines/full-copy.ts'
import { initialise, load, type Pgbench, type Workload } from '../baselines/pgbench.ts'
import { createClone, deleteClone } from '../lab/clones.ts'
import type { Data } from '../lab/data.ts'
import type { BenchLab } from '../lab/lab.ts'
import { inTurns } from '../measure/in-turns.ts'
import { rowBeside, type Suite } from './contract.ts'

const CLIENTS = 8
const WORKLOADS: Record<Workload, string> = { 'select-only': 'reads alone', 'tpcb-like': 'like TPC-B' }

type Samples = Record<Workload, { clone: number[]; copy: number[] }>

export const pgbench: Suite = {
  name: 'pgbench',
  description: 'transactions of a clone beside those of a full copy that shares nothing, on the same file system',
  async run({ quick, lab: shared, say, skip, note }) {
    const [tool] = await findAllClientTools('pgbench')
    if (!tool) {
      skip('transactions of a clone', 'there is no pgbench on this machine')
      return []
    }
    const { blocks, seconds, scale } = quick
      ? { blocks: 2, seconds: 2, scale: 5 }
      : { blocks: 10, seconds: 10, scale: 50 }
    const lab = await shared({ profile: 'dev' })
    const run: Pgbench = { path: tool.path, clients: CLIENTS, seconds }
    note(
      `pgbench ${tool.version}, scale ${scale}, ${seconds} s a run, each clone and copy for two runs of each kind; settings of the lab, fsync on`,
    )
    const data = await pgbenchData(lab, run, scale)
    const [side, files] = [await bareSide(lab), await lab.pool.filesOf(data.snapshot)]
    const samples: Samples = { 'select-only': { clone: [], copy: [] }, 'tpcb-like': { clone: [], copy: [] } }
    for (let block = 1; block <= blocks; block++) {
      say(`pgbench: block ${block} of ${blocks}`)
      await runBlock({ lab, data, side, files, run }, samples)
    }
    return workloads().map((workload) =>
      rowBeside(
        {
          name: `clone, ${WORKLOADS[workload]}, ${CLIENTS} clients`,
          unit: 'transactions/s',
          samples: samples[workload].clone,
        },
        { name: 'full copy', samples: samples[workload].copy },
      ),
    )
  },
}

interface Block {
  lab: BenchLab
  data: Data
  side: BareSide
  /** Of the snapshot. */
  files: string
  run: Pgbench
}

/** A clone and a copy that are both new, since what was written once is shared no more: each kind of load on one, twice the other, and the one. */
async function runBlock({ lab, data, side, files, run }: Block, samples: Samples): Promise<void> {
  const clone = await createClone(lab, data)
  await using copy = await fullCopy(side, files)
  const copyUrl = copy.server.url(data.database)
  for (const url of [clone.url, copyUrl]) await readOnce(url)
  for (const workload of workloads()) {
    const sides = { clone: () => load(run, clone.url, workload), copy: () => load(run, copyUrl, workload) }
    const given = await inTurns(2, sides, 0)
    samples[workload].clone.push(...given.clone)
    samples[workload].copy.push(...given.copy)
  }
  await deleteClone(lab, clone.id)
}

/** A snapshot of a clone that has pgbench's tables, and the user of later clones as their owner. */
async function pgbenchData(lab: BenchLab, run: Pgbench, scale: number): Promise<Data> {
  const clone = await createClone(lab)
  await initialise(run, clone.url, scale)
  const { id, database } = await lab.client.snapshots.create({ cloneId: clone.id, id: 'pgbench' })
  await deleteClone(lab, clone.id)
  return { snapshot: id, database }
}

/** The copy has just been written, and is in the system's memory; so that both are. */
async function readOnce(url: string): Promise<void> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  await client.query('select count(*), sum(abalance) from pgbench_accounts')
  await client.end()
}

function workloads(): Workload[] {
  return Object.keys(WORKLOADS) as Workload[]
}
