import { endianness } from 'node:os'

/** `enum DBState` of src/include/catalog/pg_control.h, the same since PostgreSQL 9.1. */
const STATES = [
  'starting up',
  'shut down',
  'shut down in recovery',
  'shutting down',
  'in crash recovery',
  'in archive recovery',
  'in production',
] as const

export type ClusterState = (typeof STATES)[number]

/** What a server that replays this cluster's WAL needs at least as much of as the one that wrote it (manual, "Hot Standby"). */
export interface SourceSettings {
  max_connections: number
  max_worker_processes: number
  max_wal_senders: number
  max_prepared_transactions: number
  max_locks_per_transaction: number
}

export interface ControlData {
  state: ClusterState
  /** Where the last checkpoint's record begins, and the replay after a crash. */
  checkpointLsn: string
  redoLsn: string
  /** Of that checkpoint, to the second. */
  checkpointAt: Date
  timeline: number
  settings: SourceSettings
  walSegmentBytes: number
}

/** PG_CONTROL_VERSION of PostgreSQL 13 to 16, of 17, and of 18: all with the fields below at these places. */
const VERSIONS: readonly number[] = [1300, 1700, 1800]

/**
 * Where the fields of `struct ControlFileData` lie (src/include/catalog/pg_control.h), in the order of bytes of the machine that wrote
 * them. Behind the system identifier come the version of the file, that of the catalogue, and the state.
 */
const AT = {
  version: 8,
  state: 16,
  checkpoint: 32,
  redo: 40,
  timeline: 48,
  checkpointTime: 104,
  maxConnections: 180,
  maxWorkerProcesses: 184,
  maxWalSenders: 188,
  maxPreparedTransactions: 192,
  maxLocksPerTransaction: 196,
  walSegmentSize: 228,
} as const

const LITTLE = endianness() === 'LE'

/** Undefined for what is no control file. */
export function readState(file: Buffer): ClusterState | undefined {
  if (file.length < AT.state + 4) return undefined
  return STATES[viewOf(file).getUint32(AT.state, LITTLE)]
}

/** `unknown` for a version, or an order of bytes, that is none of those known here. */
export function parseControlFile(file: Buffer): ControlData | 'damaged' | 'unknown' {
  if (file.length < AT.walSegmentSize + 4) return 'damaged'
  const view = viewOf(file)
  const int = (at: number) => view.getUint32(at, LITTLE)
  if (!VERSIONS.includes(int(AT.version))) return 'unknown'
  const state = readState(file)
  if (state === undefined) return 'damaged'
  return {
    state,
    checkpointLsn: formatLsn(view.getBigUint64(AT.checkpoint, LITTLE)),
    redoLsn: formatLsn(view.getBigUint64(AT.redo, LITTLE)),
    checkpointAt: new Date(Number(view.getBigInt64(AT.checkpointTime, LITTLE)) * 1000),
    timeline: int(AT.timeline),
    settings: {
      max_connections: int(AT.maxConnections),
      max_worker_processes: int(AT.maxWorkerProcesses),
      max_wal_senders: int(AT.maxWalSenders),
      max_prepared_transactions: int(AT.maxPreparedTransactions),
      max_locks_per_transaction: int(AT.maxLocksPerTransaction),
    },
    walSegmentBytes: int(AT.walSegmentSize),
  }
}

/** As Postgres writes it: `16/B374D848`. */
function formatLsn(lsn: bigint): string {
  return `${(lsn >> 32n).toString(16)}/${(lsn & 0xffff_ffffn).toString(16)}`.toUpperCase()
}

function viewOf(file: Buffer): DataView {
  return new DataView(file.buffer, file.byteOffset, file.byteLength)
}
