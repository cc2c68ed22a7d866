import type { ClusterVolumes } from './cluster-volumes.ts'
import { ProvisionError } from './errors.ts'
import { prepareBase, superusersOf } from './postgres/base.ts'
import { clusterMajor, clusterState } from './postgres/cluster.ts'
import { withLabConnection } from './postgres/connect.ts'
import { LAB_DATABASE } from './postgres/names.ts'
import type { Instance } from './postgres/runtime.ts'
import type { VolumeId } from './storage/driver.ts'

/** A database of the cluster, and what the lab must know of a snapshot before it hands out clones. */
export interface ClusterFacts {
  databases: string[]
  postgresVersion: number
}

/** Names the socket of an instance that listens nowhere else; its directory is its own, so nobody else's is in the way. */
export const SOCKET_ONLY_PORT = 5432

/** A base that is being filled can be thrown away, and ends with a clean shutdown that writes everything out. */
export const BULK_LOAD_SETTINGS = {
  shared_buffers: '256MB',
  maintenance_work_mem: '256MB',
  max_wal_size: '4GB',
  checkpoint_timeout: '30min',
  wal_level: 'minimal',
  max_wal_senders: '0',
  // Masking leaves WAL behind that holds what was masked: a segment that was used is removed, and a new one is empty.
  wal_recycle: 'off',
  wal_init_zero: 'on',
  wal_keep_size: '0',
  full_page_writes: 'off',
  fsync: 'on',
  synchronous_commit: 'off',
  autovacuum: 'off',
  jit: 'off',
} as const

/** Makes databases ready for clones. Each in as long as `timeoutMs`: however many objects it has, one that takes longer hangs. */
export async function prepareAll(
  instance: Instance,
  databases: readonly string[],
  options: { keepSuperusers: boolean; timeoutMs: number; signal: AbortSignal | undefined },
): Promise<void> {
  const { keepSuperusers, timeoutMs, signal: stop } = options
  const superusers = await superusersOf(instance, stop)
  for (const database of databases) {
    const deadline = AbortSignal.timeout(timeoutMs)
    try {
      const signal = stop ? AbortSignal.any([stop, deadline]) : deadline
      await prepareBase(instance, { database, keepSuperusers, superusers, signal })
    } catch (error) {
      if (stop?.aborted || !deadline.aborted) throw error
      throw new ProvisionError('TIMEOUT', `a database was not ready for clones in ${timeoutMs / 1000} s`, {
        cause: error,
        hint: "See the log of the server, and the machine's load. Where it has very many objects, raise postgres.recoverySeconds.",
      })
    }
  }
}

/**
 * Whatever was loaded or replayed is written out by then, which may be more than a server that ran has to write: as long as a recovery.
 * @throws ProvisionError FAILED where a copy of it would have to be recovered
 */
export async function stopCleanly(
  { runtime, deadlines }: ClusterVolumes,
  id: VolumeId,
  dataDir: string,
): Promise<void> {
  await runtime.stop(id, 'clean', deadlines.recoveryMs)
  if ((await clusterState(dataDir)) === 'shut down') return
  throw new ProvisionError('FAILED', `Postgres on volume ${id} did not shut down cleanly`, {
    hint: "Its log's last lines say why; a full disk is the usual reason",
  })
}

export async function readFacts(instance: Instance, dataDir: string): Promise<ClusterFacts> {
  const databases = await withLabConnection(instance, LAB_DATABASE, async (client) => {
    const { rows } = await client.query<{ datname: string }>(
      'SELECT datname FROM pg_database WHERE datallowconn AND NOT datistemplate AND datname <> $1 ORDER BY datname',
      [LAB_DATABASE],
    )
    return rows.map((row) => row.datname)
  })
  return { databases, postgresVersion: await clusterMajor(dataDir) }
}
