import { join } from 'node:path'
import { isSystemError, ProvisionError } from '../errors.ts'
import { readForeignFile } from '../files.ts'
import { type ClusterState, type ControlData, parseControlFile, readState } from './control-file.ts'

const CONTROL_FILE = join('global', 'pg_control')

/**
 * The major that a data directory was made by, and that its copies need.
 * @throws ProvisionError NOT_FOUND when it is no data directory
 */
export async function clusterMajor(dataDir: string): Promise<number> {
  const major = Number((await readOwn(dataDir, 'PG_VERSION')).toString().trim())
  if (Number.isInteger(major)) return major
  throw new ProvisionError('INVALID', `${dataDir} was made by a PostgreSQL that is too old`)
}

/**
 * What the cluster itself last wrote about its state, as pg_controldata tells it. Only one that is `shut down` starts without recovery.
 * @throws ProvisionError NOT_FOUND when it is no data directory
 */
export async function clusterState(dataDir: string): Promise<ClusterState> {
  const control = readState(await readOwn(dataDir, CONTROL_FILE))
  if (control === undefined) throw unreadable(dataDir, CONTROL_FILE)
  return control
}

/**
 * All that the lab wants to know of the cluster's own control file.
 * @throws ProvisionError NOT_FOUND when it is no data directory, INVALID for one of a PostgreSQL that the lab does not know
 */
export async function clusterControl(dataDir: string): Promise<ControlData> {
  const control = parseControlFile(await readOwn(dataDir, CONTROL_FILE))
  if (control === 'damaged') throw unreadable(dataDir, CONTROL_FILE)
  if (control !== 'unknown') return control
  throw new ProvisionError(
    'INVALID',
    `the file ${CONTROL_FILE} of ${dataDir} is of a PostgreSQL that the lab does not know`,
    {
      hint: 'It was written by another version, or on a machine with another order of bytes.',
    },
  )
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
