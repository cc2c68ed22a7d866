import { chmod, mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { type Account, canPass } from '@dblab/provision'

/** Where the state of a lab goes whose data directory the account of Postgres can't enter. Survives a reboot, as /run and /tmp do not. */
const ELSEWHERE = '/var/lib/dblab'

/** Makes the data directory. Others may pass it, but neither list it nor read what lies in it. */
export async function makeDataDir(dataDir: string): Promise<void> {
  await mkdir(dataDir, { recursive: true, mode: 0o711 })
}

/** The data directory itself where the account can reach it, else a directory of the lab's own elsewhere. */
export async function chooseStateDir(dataDir: string, account: Account, labId: string): Promise<string> {
  return (await canPass(account, dataDir)) ? dataDir : join(ELSEWHERE, labId)
}

export async function makeStateDir(stateDir: string): Promise<void> {
  await mkdir(stateDir, { recursive: true, mode: 0o711 })
  // mkdir's mode goes through the umask, and a strict one would lock the account out.
  await chmod(stateDir, 0o711)
}

/**
 * Everything that a lab keeps. Below the data directory lies the lab's own: its identity, token, catalogue and pool image. Below the state
 * directory, often the same, lies what the account of Postgres must reach: volumes, sockets, logs, copies of binaries.
 */
export const places = {
  catalogue: (dataDir: string) => join(dataDir, 'catalogue.db'),
  lock: (dataDir: string) => join(dataDir, 'lock.db'),
  image: (dataDir: string) => join(dataDir, 'pool.img'),
  pool: (stateDir: string) => join(stateDir, 'pool'),
  postgres: (stateDir: string) => join(stateDir, 'postgres'),
  binaries: (stateDir: string) => join(stateDir, 'binaries'),
}
