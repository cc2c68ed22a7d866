import { writeFile } from 'node:fs/promises'
import { cpus, release, totalmem } from 'node:os'
import { join } from 'node:path'
import { binarySource, findAccount } from '@dblab/provision'
import { Command } from 'commander'
import { execa } from 'execa'
import pg from 'pg'
import { bareBaseline } from './baseline.ts'
import { type Figures, figuresOf, timed } from './figures.ts'
import { benchLab } from './lab.ts'

/** The files of an empty cluster and what a scale of 1 adds, about 310 MB, come to 1 GB with this. */
const SCALE_OF_1_GB = 3.05
const WARM_UP = 3

interface Row {
  what: string
  figures: Figures
}

const program = new Command('bench')
  .description('measure the lab beside bare tools, in the same run')
  .option('--quick', 'a small database and few runs: to see that it works')
  .option('--json <file>', 'write the figures there, too')
const { quick, json } = program.parse().opts<{ quick?: boolean; json?: string }>()
if (process.getuid?.() !== 0) program.error('bench: needs root, for the pool of the lab')
const runs = quick ? 5 : 30

await using lab = await benchLab(quick ? 0.1 : SCALE_OF_1_GB)
const account = await findAccount()
const binaries = await binarySource({ account, copiesDir: join(lab.pool, 'binaries') })()
const sizeBytes = (await lab.client.snapshots.list())[0]?.size ?? 0
const times = {
  snapshot: [] as number[],
  postgres: [] as number[],
  bare: [] as number[],
  create: [] as number[],
  reset: [] as number[],
  remove: [] as number[],
}
{
  await using baseline = await bareBaseline(lab, binaries, account)
  for (let run = -WARM_UP; run < runs; run++) {
    // In turns, so that whatever else the machine does hits both alike.
    const { snapshotMs, postgresMs } = await baseline.run()
    const { createMs, resetMs, removeMs } = await cloneOnce()
    if (run < 0) continue
    times.snapshot.push(snapshotMs)
    times.postgres.push(postgresMs)
    times.bare.push(snapshotMs + postgresMs)
    times.create.push(createMs)
    times.reset.push(resetMs)
    times.remove.push(removeMs)
  }
}

async function cloneOnce() {
  const { client } = lab
  let clone: Awaited<ReturnType<typeof client.clones.create>> | undefined
  const createMs = await timed(async () => {
    clone = await client.clones.create({ db: { username: 'bench', password: 'bench password' } })
    await selectOne(clone.connectionString())
  })
  if (!clone) throw new Error('no clone')
  const made = clone
  const resetMs = await timed(async () => {
    await made.reset()
    await selectOne(made.connectionString())
  })
  const removeMs = await timed(() => made.delete())
  return { createMs, resetMs, removeMs }
}

async function selectOne(connectionString: string): Promise<void> {
  const client = new pg.Client({ connectionString })
  await client.connect()
  await client.query('select 1')
  await client.end()
}

const rows: Row[] = [
  { what: 'bare: `btrfs subvolume snapshot`', figures: figuresOf(times.snapshot) },
  { what: 'bare: `postgres` to first `select 1` (socket, no password)', figures: figuresOf(times.postgres) },
  { what: 'bare: both', figures: figuresOf(times.bare) },
  { what: 'lab: create to first `select 1` (HTTP, then TCP with SCRAM)', figures: figuresOf(times.create) },
  { what: 'lab: reset to first `select 1`', figures: figuresOf(times.reset) },
  { what: 'lab: delete, until it is gone', figures: figuresOf(times.remove) },
]
const base = rows[2]?.figures.p50 ?? Number.NaN
const ms = (value: number) => value.toFixed(1)
const table = rows.map(
  ({ what, figures }) =>
    `| ${what} | ${ms(figures.p50)} | ${ms(figures.p95)} | ${ms(figures.min)} | ${(figures.p50 / base).toFixed(2)} |`,
)
const { stdout: btrfs } = await execa('btrfs', ['--version'])
const machine = {
  date: new Date().toISOString().slice(0, 10),
  cpu: `${cpus().length} x ${cpus()[0]?.model.trim() ?? 'unknown'}`,
  memoryGiB: Math.round(totalmem() / 2 ** 30),
  kernel: release(),
  btrfs: btrfs.split('\n')[0] ?? '',
  postgres: binaries.version,
  node: process.version,
  databaseMB: Math.round(sizeBytes / 1e6),
  runs,
}
process.stdout.write(`
${Object.entries(machine)
  .map(([key, value]) => `${key}: ${value}`)
  .join(', ')}

| milliseconds | p50 | p95 | min | p50 / bare |
| --- | ---: | ---: | ---: | ---: |
${table.join('\n')}
`)
if (json) await writeFile(json, `${JSON.stringify({ machine, rows }, null, 2)}\n`)
await lab.client.close()
