import { lstat, readdir, readlink, realpath } from 'node:fs/promises'
import { join, resolve, sep } from 'node:path'
import { ProvisionError } from '../errors.ts'
import { readForeignFile } from '../files.ts'
import { TABLESPACE_LINK } from '../postgres/names.ts'
import { orGone } from '../storage/tree.ts'
import type { AccountFiles } from './account-files.ts'
import type { Places } from './places.ts'

/** Directories of a cluster that have been known to be links to another disk. */
const LINKED = [
  'pg_wal',
  'base',
  'global',
  'pg_xact',
  'pg_multixact',
  'pg_commit_ts',
  'pg_stat',
  'pg_twophase',
] as const

/**
 * Gets what the cluster reaches over links into its data directory, or beside it, where it is in the volume already; tablespaces end as
 * `tablespaces/<number>`, with a relative link.
 *
 * @throws ProvisionError INVALID, naming what lies elsewhere
 */
export async function gatherLinked(places: Places, files: AccountFiles): Promise<void> {
  for (const name of LINKED) await bringHome(places, name, files)
  const elsewhere: string[] = []
  const found = await tablespaces(places)
  for (const [oid, location] of found) {
    if (!(await gatherTablespace(places, oid, location, files))) elsewhere.push(`${oid} at ${location}`)
  }
  // It would have recovery make the links anew, to where the source has its tablespaces (xlogrecovery.c, read_tablespace_map).
  await files.remove([join(places.dataDir, 'tablespace_map')])
  if (elsewhere.length === 0) return
  throw new ProvisionError('INVALID', `tablespaces of the data lie outside of its volume: ${elsewhere.join(', ')}`, {
    hint: `Have them brought below ${places.tablespacesDir}, such as with --tablespace-mapping of pg_basebackup, or --tablespace-map of pgbackrest.`,
  })
}

async function bringHome({ dataDir, volumePath }: Places, name: string, files: AccountFiles): Promise<void> {
  const path = join(dataDir, name)
  const stats = await orGone(lstat(path))
  if (!stats?.isSymbolicLink()) return
  const target = resolve(dataDir, await readlink(path))
  if (!(await isWithin(target, volumePath))) {
    throw new ProvisionError('INVALID', `${name} of the data is a link to ${target}, outside of its volume`, {
      hint: `Have the directory itself brought: a copy of it in the place of the link, or no --waldir of pg_basebackup.`,
    })
  }
  await files.remove([path])
  await files.move(target, path)
}

/** By number, with where each lies now: links, directories, what the map of a backup names, and what was put where it belongs. */
async function tablespaces({ dataDir, tablespacesDir }: Places): Promise<Map<string, string>> {
  const found = new Map<string, string>()
  for (const [oid, location] of await mapped(dataDir)) found.set(oid, location)
  for (const oid of await numbersIn(tablespacesDir)) found.set(oid, join(tablespacesDir, oid))
  for (const oid of await numbersIn(join(dataDir, 'pg_tblspc'))) {
    const path = join(dataDir, 'pg_tblspc', oid)
    const stats = await lstat(path)
    const own = found.get(oid) === join(tablespacesDir, oid)
    if (stats.isSymbolicLink() && !own) found.set(oid, resolve(dataDir, 'pg_tblspc', await readlink(path)))
    if (stats.isDirectory()) found.set(oid, path)
  }
  return found
}

/** Lines of `<number> <path>`, in which a backslash comes before a line break of the path. */
async function mapped(dataDir: string): Promise<Array<[string, string]>> {
  const content = await orGone(readForeignFile(join(dataDir, 'tablespace_map')))
  const lines = (content?.toString() ?? '').split('\n')
  return lines.flatMap((line) => {
    const [, oid, path] = /^(\d+) (.+)$/.exec(line) ?? []
    return oid !== undefined && path !== undefined ? [[oid, path] as [string, string]] : []
  })
}

/** False where it lies elsewhere. */
async function gatherTablespace(
  { dataDir, tablespacesDir, volumePath }: Places,
  oid: string,
  location: string,
  files: AccountFiles,
): Promise<boolean> {
  const [link, home] = [join(dataDir, 'pg_tblspc', oid), join(tablespacesDir, oid)]
  if (location !== home) {
    if (!(await isWithin(location, volumePath))) return false
    await files.move(location, home)
  }
  await files.remove([link])
  await files.link(`${TABLESPACE_LINK}${oid}`, link)
  return true
}

async function isWithin(path: string, volumePath: string): Promise<boolean> {
  const [real, top] = [await orGone(realpath(path)), await realpath(volumePath)]
  return real?.startsWith(top + sep) ?? false
}

async function numbersIn(directory: string): Promise<string[]> {
  return ((await orGone(readdir(directory))) ?? []).filter((name) => /^\d+$/.test(name))
}

/** Every link in pg_tblspc leads to its own place in the volume. @throws ProvisionError INVALID */
export async function verifyTablespaceLinks({ dataDir }: Pick<Places, 'dataDir'>): Promise<void> {
  for (const oid of await numbersIn(join(dataDir, 'pg_tblspc'))) {
    const target = await orGone(readlink(join(dataDir, 'pg_tblspc', oid)))
    if (target === undefined || target === `${TABLESPACE_LINK}${oid}`) continue
    throw new ProvisionError('INVALID', `the source made tablespace ${oid} at ${target} while the copy was taken`, {
      hint: 'Take the copy again, now that it is there.',
    })
  }
}
