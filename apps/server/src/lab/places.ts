import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import { type Account, canPass, isSystemError, makeDirectory } from '@dblab/provision'
import { ConfigError } from '../config/load.ts'

/** Where the state of a lab goes whose data directory the account of Postgres can't enter. Survives a reboot, as /run and /tmp do not. */
const ELSEWHERE = '/var/lib/dblab'

/** Others may pass, but neither list nor read. */
const PASSABLE = 0o711

/**
 * Makes the data directory.
 *
 * @throws ConfigError where it can't be made
 */
export async function makeDataDir(dataDir: string): Promise<void> {
  try {
    await makeDirectory(dataDir, PASSABLE)
  } catch (error) {
    if (!isSystemError(error)) throw error
    throw new ConfigError(`dataDir: ${dataDir} can't be made: ${error.message}`, { cause: error })
  }
  if (!(await stat(dataDir)).isDirectory()) throw new ConfigError(`dataDir: ${dataDir} is no directory`)
}

/** The data directory itself where the account can reach it, else a directory of the lab's own elsewhere. */
export async function chooseStateDir(dataDir: string, account: Account, labId: string): Promise<string> {
  return (await canPass(account, dataDir)) ? dataDir : join(ELSEWHERE, labId)
}

export async function makeStateDir(stateDir: string): Promise<void> {
  await makeDirectory(stateDir, PASSABLE)
}

/**
 * Everything that a lab keeps. Below the data directory lies the lab's own: its identity, token, catalogue, audit log and pool image. Below the state
 * directory, often the same, lies what the account of Postgres must reach: volumes, sockets, logs, copies of binaries.
 */
export const places = {
  catalogue: (dataDir: string) => join(dataDir, 'catalogue.db'),
  audit: (dataDir: string) => join(dataDir, 'audit.db'),
  lock: (dataDir: string) => join(dataDir, 'lock.db'),
  image: (dataDir: string) => join(dataDir, 'pool.img'),
  pool: (stateDir: string) => join(stateDir, 'pool'),
  /** Written by the storage when it is first opened. */
  poolMarker: (stateDir: string) => join(stateDir, 'pool', 'dblab-storage.json'),
  /** With passwords of tools: there only while data is brought in. */
  importLogin: (stateDir: string) => join(stateDir, 'import'),
  sourceLogin: (stateDir: string) => join(stateDir, 'source'),
  postgres: (stateDir: string) => join(stateDir, 'postgres'),
  binaries: (stateDir: string) => join(stateDir, 'binaries'),
}
