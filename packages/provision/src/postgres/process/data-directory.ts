import { rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { ProvisionError } from '../../errors.ts'
import { exists, leadsSomewhere } from '../../files.ts'
import type { Account } from '../runtime.ts'
import { postmasterFilePath } from './postmaster-file.ts'
import type { ProcessTable } from './processes.ts'
import { findServer } from './shutdown.ts'

/** A killed server's children notice at their next wait; one in the middle of a long query, later. */
const LEFTOVER_DEADLINE_MS = 10_000

/**
 * Refuses a directory that Postgres would refuse (src/backend/utils/init/miscinit.c, checkDataDir), before anything is started.
 * Looks at the directory alone, never at what is in it.
 */
export async function assertDataDir(dataDir: string, account: Account): Promise<void> {
  const { uid, mode } = await stat(dataDir)
  if (uid !== account.uid) {
    throw new ProvisionError('INVALID', `${dataDir} does not belong to ${account.name}, who runs Postgres`, {
      hint: `Data is brought in as ${account.name}, so that no copy of it needs its owner changed.`,
    })
  }
  if ((mode & 0o027) !== 0) {
    throw new ProvisionError('INVALID', `${dataDir} is open to other accounts, so Postgres refuses it`, {
      hint: `chmod 0700 ${dataDir}`,
    })
  }
}

/**
 * Removes the postmaster.pid that a copied data directory carries. It names the server of the source, which Postgres would take for one
 * of its own, and tools would stop in its stead.
 *
 * It is Postgres' own guard against two servers on one directory, so it goes only when nothing runs on this very directory.
 * @throws ProvisionError ALREADY_EXISTS when a server does
 */
export async function removeCarriedPostmasterFile(table: ProcessTable, dataDir: string): Promise<void> {
  // A directory that was shut down cleanly has none. Only where there is one is it worth a look at all processes.
  if (!(await exists(postmasterFilePath(dataDir)))) return
  const deadline = Date.now() + LEFTOVER_DEADLINE_MS
  for (;;) {
    const { postmaster, others } = await findServer(table, dataDir)
    if (postmaster !== undefined) throw alreadyRunning(dataDir)
    if (others.length === 0) break
    if (Date.now() > deadline) {
      throw new ProvisionError('IN_USE', `what a killed server left still works in ${dataDir}`, {
        hint: 'Stop the instance, which ends it, and start it again.',
      })
    }
    await sleep(50)
  }
  await rm(postmasterFilePath(dataDir), { force: true })
  await rm(join(dataDir, 'postmaster.opts'), { force: true })
}

export function alreadyRunning(dataDir: string): ProvisionError {
  return new ProvisionError('ALREADY_EXISTS', `a server runs on ${dataDir} already`, { hint: 'Stop it first.' })
}

/** Debian keeps it elsewhere, so copies of its clusters have none, and Postgres does not start without. */
export async function hasConfigFile(dataDir: string): Promise<boolean> {
  return leadsSomewhere(join(dataDir, 'postgresql.conf'))
}
