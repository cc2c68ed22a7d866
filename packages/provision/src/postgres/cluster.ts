import { open, readFile } from 'node:fs/promises'
import { endianness } from 'node:os'
import { join } from 'node:path'
import { isSystemError, ProvisionError } from '../errors.ts'

/**
 * The major that a data directory was made by, and that its copies need.
 * @throws ProvisionError NOT_FOUND when it is no data directory
 */
export async function clusterMajor(dataDir: string): Promise<number> {
  let text: string
  try {
    text = await readFile(join(dataDir, 'PG_VERSION'), 'utf8')
  } catch (error) {
    throw noCluster(dataDir, error)
  }
  const major = Number(text.trim())
  if (Number.isInteger(major)) return major
  throw new ProvisionError('INVALID', `${dataDir} was made by a PostgreSQL that is too old`)
}

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

/** Behind the system identifier (8 bytes) and the versions of the file and of the catalogue (4 each). */
const STATE_OFFSET = 16

/**
 * What the cluster itself last wrote about its state, as pg_controldata tells it. Only one that is `shut down` starts without recovery.
 * @throws ProvisionError NOT_FOUND when it is no data directory
 */
export async function clusterState(dataDir: string): Promise<ClusterState> {
  const buffer = Buffer.alloc(STATE_OFFSET + 4)
  try {
    const file = await open(join(dataDir, 'global', 'pg_control'), 'r')
    try {
      await file.read(buffer, 0, buffer.length, 0)
    } finally {
      await file.close()
    }
  } catch (error) {
    throw noCluster(dataDir, error)
  }
  const state = STATES[endianness() === 'LE' ? buffer.readUInt32LE(STATE_OFFSET) : buffer.readUInt32BE(STATE_OFFSET)]
  if (state === undefined) throw new ProvisionError('FAILED', `the control file of ${dataDir} can't be read`)
  return state
}

/** True when whatever ran on it last ended by a shutdown checkpoint, so that a copy starts without recovery. */
export async function isShutDownCleanly(dataDir: string): Promise<boolean> {
  const state = await clusterState(dataDir)
  return state === 'shut down' || state === 'shut down in recovery'
}

function noCluster(dataDir: string, error: unknown): unknown {
  if (!isSystemError(error, 'ENOENT', 'ENOTDIR')) return error
  return new ProvisionError('NOT_FOUND', `${dataDir} is not a Postgres data directory`, { cause: error })
}
