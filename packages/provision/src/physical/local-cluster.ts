import { randomBytes } from 'node:crypto'
import {
  constants,
  copyFile,
  lchown,
  lstat,
  mkdir,
  readdir,
  readlink,
  realpath,
  rename,
  rmdir,
  unlink,
} from 'node:fs/promises'
import { basename, join, resolve } from 'node:path'
import { isSystemError, ProvisionError } from '../errors.ts'
import { exists } from '../files.ts'
import { clusterControl, clusterMajor } from '../postgres/cluster.ts'
import type { ControlData } from '../postgres/control-file.ts'
import { postmasterFilePath } from '../postgres/process/postmaster-file.ts'
import type { Account } from '../postgres/runtime.ts'
import { HeldDirectory } from '../storage/held-directory.ts'
import { type CopyFile, copyHeldTree, logicalBytes, orGone } from '../storage/tree.ts'
import { LINKED } from './links.ts'
import type { Places } from './places.ts'

/** A data directory of this machine that nothing runs on. */
export interface LocalCluster {
  /** Without symbolic links. */
  path: string
  /** Whose its top is, and what its links lead to has to be. */
  uid: number
  major: number
  control: ControlData
  /** With all that it reaches over links. */
  sizeBytes: number
  /** The directories of its tablespaces that are its major's. */
  tablespaces: readonly { oid: string; directory: string }[]
  /** Directories of the cluster that are elsewhere, by their names in it. */
  links: readonly { name: string; target: string }[]
}

/**
 * Looks at a data directory, and changes nothing.
 *
 * @throws ProvisionError NOT_FOUND where there is none, IN_USE where a server runs on it, INVALID where it was not shut down cleanly or
 * can't be read
 */
export async function examineLocalCluster(path: string): Promise<LocalCluster> {
  try {
    return await examine(path)
  } catch (error) {
    if (!isSystemError(error, 'EACCES', 'EPERM')) throw error
    throw new ProvisionError('INVALID', `the server may not read all of ${path}`, {
      cause: error,
      hint: 'Start it as root, or as the account that the data belongs to.',
    })
  }
}

async function examine(named: string): Promise<LocalCluster> {
  const path = await orGone(realpath(named))
  if (path === undefined) {
    throw new ProvisionError('NOT_FOUND', `there is no directory ${named}`, { hint: 'Is its disk mounted?' })
  }
  if (!(await exists(join(path, 'PG_VERSION')))) {
    throw new ProvisionError('NOT_FOUND', `${named} is no data directory of Postgres'`, {
      hint: 'Name the directory that holds PG_VERSION, such as /var/lib/postgresql/17/main. Is its disk mounted?',
    })
  }
  const major = await clusterMajor(path)
  const control = await clusterControl(path)
  await requireShutDown(path, control)
  const links: LocalCluster['links'][number][] = []
  for (const name of LINKED) {
    const target = await linkTarget(join(path, name))
    if (target !== undefined) links.push({ name, target: await realpath(target) })
  }
  const tablespaces = await tablespacesOf(path, major)
  const trees = [path, ...links.map(({ target }) => target), ...tablespaces.map(({ directory }) => directory)]
  const { uid } = await lstat(path)
  let sizeBytes = 0
  for (const tree of trees) {
    await using _own = await openOwn(tree, uid)
    sizeBytes += await logicalBytes(tree)
  }
  return { path, uid, major, control, sizeBytes, tablespaces, links }
}

async function requireShutDown(path: string, { state }: ControlData): Promise<void> {
  const isClean = state === 'shut down' || state === 'shut down in recovery'
  if (await exists(postmasterFilePath(path))) {
    throw new ProvisionError('IN_USE', `a server runs on ${path}, or has ended there without tidying up`, {
      hint: 'Stop it (pg_ctl stop -m fast), or start and stop it once if none runs. To copy it while it runs, take it as kind: physical.',
    })
  }
  if (isClean) return
  throw new ProvisionError('INVALID', `the data in ${path} was not shut down cleanly: it is ${JSON.stringify(state)}`, {
    hint: 'Start its server, let it recover, and stop it (pg_ctl stop -m fast).',
  })
}

/** In a tablespace's directory, each major has its own (catalog.h, TABLESPACE_VERSION_DIRECTORY). */
async function tablespacesOf(path: string, major: number): Promise<LocalCluster['tablespaces']> {
  const all = join(path, 'pg_tblspc')
  const found: LocalCluster['tablespaces'][number][] = []
  for (const oid of (await readdir(all)).filter((name) => /^\d+$/.test(name))) {
    const target = await linkTarget(join(all, oid))
    if (target === undefined) continue
    const location = await orGone(realpath(target))
    const name = location && (await readdir(location)).find((entry) => entry.startsWith(`PG_${major}_`))
    if (location === undefined || name === undefined) {
      throw new ProvisionError('INVALID', `tablespace ${oid} of ${path} is not where its link leads: ${target}`, {
        hint: 'Is its disk mounted?',
      })
    }
    found.push({ oid, directory: join(location, name) })
  }
  return found
}

/**
 * A directory of the data's own. Its owner can lead a link anywhere, also to what root alone may read, and would be given a copy of that.
 *
 * @throws ProvisionError INVALID where it is another account's
 */
async function openOwn(path: string, uid: number): Promise<HeldDirectory> {
  await using undo = new AsyncDisposableStack()
  const directory = undo.use(await HeldDirectory.open(path))
  if ((await directory.stat()).uid !== uid) {
    throw new ProvisionError('INVALID', `a link of the data leads to a directory of another account: ${path}`, {
      hint: 'Postgres makes no such thing. Give it to the account that the data directory belongs to, or take the link away.',
    })
  }
  undo.move()
  return directory
}

/** Undefined for what is no link. */
async function linkTarget(path: string): Promise<string | undefined> {
  const stats = await orGone(lstat(path))
  return stats?.isSymbolicLink() ? resolve(path, '..', await readlink(path)) : undefined
}

export interface CopyingOptions {
  /** Whose the copy is to be. */
  account: Account
  signal: AbortSignal
  /** After each file. */
  onBytes: (bytes: number) => void
}

/**
 * Copies it to where the places say, with its tablespaces and what is behind links; blocks are shared where both lie on one file system that can.
 *
 * @throws ProvisionError IN_USE where a server was started on it meanwhile; INVALID where a part of it is another account's; ABORTED; system error ENOSPC
 */
export async function copyLocalCluster(cluster: LocalCluster, places: Places, options: CopyingOptions): Promise<void> {
  const { path, uid, links, tablespaces } = cluster
  const { account, signal, onBytes } = options
  const copyOne: CopyFile = async (from, to, { size }) => {
    throwIfAborted(signal)
    await copyFile(from, to, constants.COPYFILE_FICLONE | constants.COPYFILE_EXCL)
    onBytes(size)
  }
  const copy = async (from: string, to: string) => {
    await using source = await openOwn(from, uid)
    await copyHeldTree(source, to, copyOne, account)
  }
  await using incoming = await makeIncoming(places.volumePath)
  await copy(path, incoming.entry('data'))
  for (const { name, target } of links) {
    const link = join(incoming.entry('data'), name)
    await unlink(link)
    await copy(target, link)
  }
  await mkdir(incoming.entry('tablespaces'), { mode: 0o700 })
  for (const { oid, directory } of tablespaces) {
    const home = join(incoming.entry('tablespaces'), oid)
    await mkdir(home, { mode: 0o700 })
    await copy(directory, join(home, basename(directory)))
    await giveTo(account, home)
  }
  await giveTo(account, incoming.entry('tablespaces'))
  await requireUntouched(cluster)
  await rename(incoming.entry('data'), places.dataDir)
  await rename(incoming.entry('tablespaces'), places.tablespacesDir)
  await incoming.removeEmpty()
}

/**
 * A directory in the volume that none but this process may enter, held open: the account of Postgres, whose the volume is, can put nothing into the
 * way of the copy. See docs/decisions/hostile-paths.md.
 */
async function makeIncoming(
  volumePath: string,
): Promise<AsyncDisposable & Pick<HeldDirectory, 'entry'> & { removeEmpty: () => Promise<void> }> {
  const path = join(volumePath, `.incoming~${randomBytes(8).toString('hex')}`)
  await mkdir(path, { mode: 0o700 })
  const held = await HeldDirectory.open(path)
  const { uid, mode } = await held.stat()
  if (uid !== process.geteuid?.() || (mode & 0o077) !== 0) {
    await held[Symbol.asyncDispose]()
    throw new ProvisionError('FAILED', 'something else was put in the place of a directory of the volume')
  }
  return {
    entry: (name) => held.entry(name),
    removeEmpty: () => rmdir(path),
    [Symbol.asyncDispose]: () => held[Symbol.asyncDispose](),
  }
}

async function giveTo({ uid, gid }: Account, path: string): Promise<void> {
  if (process.geteuid?.() === 0) await lchown(path, uid, gid)
}

async function requireUntouched({ path, control }: LocalCluster): Promise<void> {
  const { state, checkpointLsn } = await clusterControl(path)
  const isSame = state === control.state && checkpointLsn === control.checkpointLsn
  if (isSame && !(await exists(postmasterFilePath(path)))) return
  throw new ProvisionError('IN_USE', `a server was started on ${path} while it was copied`, {
    hint: 'Keep it stopped until the copy is done. To copy it while it runs, take it as kind: physical.',
  })
}

function throwIfAborted(signal: AbortSignal): void {
  if (signal.aborted) throw new ProvisionError('ABORTED', 'the copy was stopped on request')
}
