import { join } from 'node:path'
import { findClientTools } from '@dblab/provision'
import { type DumpPlan, inspectDump } from '../../src/retrieval/dump/dump.ts'
import { type ImportOptions, type ImportResult, importDump } from '../../src/retrieval/dump/import.ts'
import type { RestoreStep } from '../../src/retrieval/dump/restore-progress.ts'
import type { Cluster } from './cluster.ts'

export const tools = await findClientTools()

/** Empty, or why nothing can be imported here: for a test's title. */
export const lacking =
  tools.psql && tools.pg_restore && tools.pg_dump ? '' : ' (skipped: no PostgreSQL client programs)'

export function planOf(cluster: Cluster, path: string): Promise<DumpPlan> {
  return inspectDump(path, { tools, account: cluster.account })
}

export async function bringIn(
  cluster: Cluster,
  path: string,
  onProgress?: (progress: RestoreStep) => void,
): Promise<ImportResult> {
  return importDump(await planOf(cluster, path), cluster.instance, { ...toolOf(cluster), onProgress })
}

/** Who runs the restoring tool, and where it finds its password. */
export function toolOf(cluster: Cluster): Pick<ImportOptions, 'account' | 'loginDirectory'> {
  return { account: cluster.account, loginDirectory: join(cluster.directory, 'import') }
}
