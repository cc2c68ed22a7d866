import { endianness } from 'node:os'
import { join } from 'node:path'
import { isSystemError, ProvisionError } from '../errors.ts'
import { readForeignFile } from '../files.ts'

/**
 * The major that a data directory was made by, and that its copies need.
 * @throws ProvisionError NOT_FOUND when it is no data directory
 */
export async function clusterMajor(dataDir: string): Promise<number> {
  const major = Number((await readOwn(dataDir, 'PG_VERSION')).toString().trim())
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
  const buffer = await readOwn(dataDir, join('global', 'pg_control'))
  if (buffer.length < STATE_OFFSET + 4) throw unreadable(dataDir, 'global/pg_control')
  const state = STATES[endianness() === 'LE' ? buffer.readUInt32LE(STATE_OFFSET) : buffer.readUInt32BE(STATE_OFFSET)]
  if (state === undefined) throw unreadable(dataDir, 'global/pg_control')
  return state
}

/** True when whatever ran on it last ended by a shutdown checkpoint, so that a copy starts without recovery. */
export async function isShutDownCleanly(dataDir: string): Promise<boolean> {
  const state = await clusterState(dataDir)
  return state === 'shut down' || state === 'shut down in recovery'
}

async function readOwn(dataDir: string, name: string): Promise<Buffer> {
  try {
    const content = await readForeignFile(join(dataDir, name))
    if (content === undefined) throw unreadable(dataDir, name)
    return content
  } catch (error) {
    if (!isSystemError(error, 'ENOENT', 'ENOTDIR')) throw error
    throw new ProvisionError('NOT_FOUND', `${dataDir} is not a Postgres data directory`, { cause: error })
  }
}

function unreadable(dataDir: string, name: string): ProvisionError {
  return new ProvisionError('FAILED', `the file ${name} of ${dataDir} is none that Postgres has written`, {
    hint: 'The data is damaged, or somebody has put something else in its place.',
  })
}
