import { createHash, randomBytes } from 'node:crypto'
import { chmod, cp, mkdir, readdir, realpath, rename, rm, stat } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { isSystemError, ProvisionError } from '../errors.ts'
import { leadsSomewhere, syncFileSystem } from '../files.ts'
import { canPass } from './account.ts'
import { chooseBinaries, type FindBinariesOptions, findBinaries, type PostgresBinaries } from './binaries.ts'
import type { Account } from './runtime.ts'

/** Parts of an installation that Postgres finds relative to its own program. */
const PARTS = ['bin', 'lib', 'share'] as const
const TEMPORARY = '.copying-'
/** No copy takes this long: one that is older was cut off by a crash. */
const ABANDONED_AFTER_MS = 3_600_000

/** Gives the binaries of a major (or the default ones), in a place where the account of the servers can run them. */
export type BinarySource = (major?: number) => Promise<PostgresBinaries>

export interface BinarySourceOptions extends FindBinariesOptions {
  account: Account
  /** Where binaries are copied that the account can't reach; the account can reach it. */
  copiesDir: string
}

/**
 * Looks for binaries once, at the first call, and copies what the account can't reach once for all. A failed search is not kept.
 */
export function binarySource(options: BinarySourceOptions): BinarySource {
  let search: ReturnType<typeof findBinaries> | undefined
  const reached = new Map<string, Promise<PostgresBinaries>>()
  return async (major) => {
    search ??= findBinaries(options)
    const chosen = await search
      .then((found) => chooseBinaries(found, major))
      .catch((error: unknown) => {
        // What is missing may be installed by the time of the next call.
        search = undefined
        throw error
      })
    let result = reached.get(chosen.binDir)
    if (result === undefined) {
      result = reachableBinaries(chosen, options.account, options.copiesDir)
      reached.set(chosen.binDir, result)
      result.catch(() => reached.delete(chosen.binDir))
    }
    return result
  }
}

/**
 * The same binaries where the account can run them: themselves, or a copy. A copy is whole or not there, whoever else makes it at
 * the same time, and is on disk before it gets its name.
 *
 * @throws ProvisionError UNAVAILABLE when the account can't reach `copiesDir` either
 */
export async function reachableBinaries(
  binaries: PostgresBinaries,
  account: Account,
  copiesDir: string,
): Promise<PostgresBinaries> {
  const prefix = dirname(await realpath(binaries.binDir))
  if (await isReachable(prefix, account)) return binaries
  const { mtimeMs } = await stat(join(prefix, 'bin', 'postgres'))
  const digest = createHash('sha256').update(`${prefix}\0${mtimeMs}`).digest('hex').slice(0, 12)
  const target = join(copiesDir, `${binaries.version}-${digest}`)
  const copied = { ...binaries, binDir: join(target, 'bin') }
  await mkdir(copiesDir, { recursive: true, mode: 0o755 })
  if (!(await canPass(account, copiesDir))) {
    throw new ProvisionError(
      'UNAVAILABLE',
      `${account.name}, who runs Postgres, can reach neither ${prefix} nor ${copiesDir}`,
      {
        hint: 'Choose a data directory that other accounts can enter, or open the directories above it with chmod o+x.',
      },
    )
  }
  if (await canPass(account, join(copied.binDir, 'postgres'))) return copied
  await copyInstallation(prefix, target, copiesDir)
  return copied
}

async function isReachable(prefix: string, account: Account): Promise<boolean> {
  for (const part of PARTS) {
    const there = await canPass(account, join(prefix, part))
    // Distributions keep `share` elsewhere, in places that everybody can read.
    if (!there && (part === 'bin' || (await leadsSomewhere(join(prefix, part))))) return false
  }
  return canPass(account, join(prefix, 'bin', 'postgres'))
}

async function copyInstallation(prefix: string, target: string, copiesDir: string): Promise<void> {
  await removeAbandoned(copiesDir)
  const temporary = join(copiesDir, `${TEMPORARY}${randomBytes(6).toString('hex')}`)
  try {
    for (const part of PARTS) {
      if (!(await leadsSomewhere(join(prefix, part)))) continue
      await cp(join(prefix, part), join(temporary, part), { recursive: true, verbatimSymlinks: true })
    }
    await openToAll(temporary)
    // The name promises that all of it is there, after a crash of the machine too.
    await syncFileSystem(temporary)
    await rename(temporary, target)
  } catch (error) {
    await rm(temporary, { recursive: true, force: true })
    // Somebody else was faster, with the same.
    if (!isSystemError(error, 'ENOTEMPTY', 'EEXIST')) throw error
  }
}

/** A copy keeps its source's modes, which may be those of a private home. */
async function openToAll(directory: string): Promise<void> {
  await chmod(directory, 0o755)
  for (const entry of await readdir(directory, { withFileTypes: true })) {
    const path = join(directory, entry.name)
    if (entry.isDirectory()) await openToAll(path)
    else if (entry.isFile()) await chmod(path, basename(directory) === 'bin' ? 0o755 : 0o644)
  }
}

async function removeAbandoned(copiesDir: string): Promise<void> {
  for (const name of await readdir(copiesDir)) {
    if (!name.startsWith(TEMPORARY)) continue
    const path = join(copiesDir, name)
    try {
      if (Date.now() - (await stat(path)).mtimeMs > ABANDONED_AFTER_MS) await rm(path, { recursive: true, force: true })
    } catch (error) {
      if (!isSystemError(error, 'ENOENT')) throw error
    }
  }
}
