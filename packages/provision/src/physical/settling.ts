import { randomBytes } from 'node:crypto'
import { lstat, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { ProvisionError } from '../errors.ts'
import { CommandError } from '../exec.ts'
import type { Account } from '../postgres/runtime.ts'
import { orGone } from '../storage/tree.ts'
import type { AccountFiles } from './account-files.ts'
import type { Places } from './places.ts'

/** A tree of others in the pool, in which a cluster lies. */
export interface ForeignOrigin {
  /** As the storage calls it: see `StorageDriver`. */
  name: string
  /** The data directory, by its path in the tree; empty for the tree's top. */
  directory: string
}

/**
 * Moves the cluster of a volume that began as a tree of others to where the lab has it, and removes what lies beside it. Nothing is copied.
 *
 * @throws ProvisionError NOT_FOUND where there is no such directory, INVALID where it is not the account's
 */
export async function settle(
  { volumePath, dataDir }: Places,
  { name, directory }: ForeignOrigin,
  account: Account,
  files: AccountFiles,
): Promise<void> {
  const parts = directory.split('/').filter((part) => part !== '' && part !== '.')
  if (parts.includes('..')) throw new ProvisionError('INVALID', 'the data directory is to lie in the tree')
  await requireDirectories(volumePath, parts, name, account)
  const moving = join(volumePath, `.cluster~${randomBytes(8).toString('hex')}`)
  try {
    const before = (await readdir(volumePath)).map((entry) => join(volumePath, entry))
    if (parts.length > 0) await files.move(join(volumePath, ...parts), moving)
    else {
      await files.makeDirectories([moving])
      for (const entry of before) await files.move(entry, join(moving, entry.slice(volumePath.length)))
    }
    await files.remove(before)
    await files.move(moving, dataDir)
  } catch (error) {
    if (!(error instanceof CommandError)) throw error
    throw notTheAccounts(name, account, error)
  }
}

/** Each of them a directory itself, no link, and the account's. The top of the volume is that already. */
async function requireDirectories(volumePath: string, parts: string[], name: string, account: Account): Promise<void> {
  for (const [index] of parts.entries()) {
    const stats = await orGone(lstat(join(volumePath, ...parts.slice(0, index + 1))))
    if (!stats?.isDirectory()) {
      throw new ProvisionError('NOT_FOUND', `there is no directory ${parts.join('/')} in ${name}`, {
        hint: 'Give the path of the data directory in the tree: of the one that holds PG_VERSION.',
      })
    }
    if (stats.uid !== account.uid) throw notTheAccounts(name, account)
  }
}

function notTheAccounts(name: string, account: Account, cause?: unknown): ProvisionError {
  return new ProvisionError('INVALID', `not all of ${name} belongs to ${account.name}, who runs Postgres here`, {
    cause,
    hint: 'Have the lab run Postgres as the account that the data belongs to (postgres.user, for a new lab), or have the data copied.',
  })
}
