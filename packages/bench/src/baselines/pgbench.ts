import { execa } from 'execa'

/** PostgreSQL's own load generator. */
export interface Pgbench {
  path: string
  clients: number
  seconds: number
}

/** As `-b` names them: reads alone, and what is like TPC-B. */
export type Workload = 'select-only' | 'tpcb-like'

/** Fills the database with pgbench's tables: a scale of 1 is about 15 MB. */
export async function initialise({ path }: Pgbench, url: string, scale: number): Promise<void> {
  await execa(path, ['--initialize', '--quiet', `--scale=${scale}`, url])
}

/** @returns transactions a second */
export async function load({ path, clients, seconds }: Pgbench, url: string, workload: Workload): Promise<number> {
  const options = ['--no-vacuum', `--client=${clients}`, '--jobs=2', `--time=${seconds}`, `--builtin=${workload}`]
  const { stdout } = await execa(path, [...options, url])
  return transactionsPerSecond(stdout)
}

/** Of pgbench's last line: `tps = 1234.567890 (without initial connection time)`. */
export function transactionsPerSecond(output: string): number {
  const tps = /^tps = ([\d.]+) \(without initial connection time\)$/m.exec(output)?.[1]
  if (tps === undefined) throw new Error('pgbench does not say how many transactions there were a second')
  return Number(tps)
}
