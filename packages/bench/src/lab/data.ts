import type { BenchLab } from './lab.ts'

/** A scale of 1 adds about 310 MB to the files of an empty cluster: with this, all of it is 1 GB. */
const SCALE_OF_1_GB = 3.05
const SCALE_OF_QUICK = 0.1

/** How large the sample database is, for tables: `1 GB`, or what a quick run has. */
export function sampleSize(quick: boolean): { scale: number; label: string } {
  return quick ? { scale: SCALE_OF_QUICK, label: '90 MB' } : { scale: SCALE_OF_1_GB, label: '1 GB' }
}

export interface Data {
  /** The snapshot that clones are made of. */
  snapshot: string
  database: string
}

/** The sample database. */
export async function sampleData({ client }: BenchLab): Promise<Data> {
  const first = (await client.snapshots.list()).find(({ cloneId }) => cloneId === '')
  if (!first) throw new Error('the lab has no data')
  return { snapshot: first.id, database: first.database }
}
