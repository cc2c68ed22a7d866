import { lstat, readdir, readlink, realpath } from 'node:fs/promises'
import { dirname, join, resolve, sep } from 'node:path'
import { ProvisionError } from '../errors.ts'
import { readForeignFile } from '../files.ts'
import { TABLESPACE_LINK } from '../postgres/names.ts'
import { orGone } from '../storage/tree.ts'
import type { AccountFiles } from './account-files.ts'
import type { Places } from './places.ts'

/** Directories of a cluster that have been known to be links to another disk. */
export const LINKED = [
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
  const { inside, elsewhere } = await findTablespaces(places)
  if (elsewhere.length > 0) {
    throw new ProvisionError('INVALID', `tablespaces of the data lie outside of its volume: ${elsewhere.join(', ')}`, {
      hint: `Have them brought below ${places.tablespacesDir}, such as with --tablespace-mapping of pg_basebackup, or --tablespace-map of pgbackrest.`,
    })
  }
  await gatherTablespaces(places, inside, files)
  // It would have recovery make the links anew, to where the source has its tablespaces (xlogrecovery.c, read_tablespace_map).
  await files.remove([join(places.dataDir, 'tablespace_map')])
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

interface Tablespaces {
  /** By number, with where each lies now. */
  inside: Map<string, string>
  /** In words. */
  elsewhere: string[]
}

/**
 * What says where a tablespace is, is believed in this order, as far as it is in the volume: its entry in pg_tblspc, a directory of its
 * number where it belongs, the map that came with a backup.
 */
async function findTablespaces({ dataDir, tablespacesDir, volumePath }: Places): Promise<Tablespaces> {
  const [map, linked] = [await mapped(dataDir), await numbersIn(join(dataDir, 'pg_tblspc'))]
  const found: Tablespaces = { inside: new Map(), elsewhere: [] }
  for (const oid of new Set([...linked, ...map.keys()])) {
    const own = linked.includes(oid) ? await entryOf(dataDir, oid) : undefined
    const candidates = [own, join(tablespacesDir, oid), map.get(oid)].filter((path) => path !== undefined)
    let location: string | undefined
    for (const path of candidates) if (await isWithin(path, volumePath)) location ??= path
    if (location === undefined) found.elsewhere.push(`${oid} at ${own ?? map.get(oid)}`)
    else found.inside.set(oid, location)
  }
  const taken = [...found.inside.values()]
  for (const oid of await numbersIn(tablespacesDir)) {
    const path = join(tablespacesDir, oid)
    if (!found.inside.has(oid) && !taken.includes(path)) found.inside.set(oid, path)
  }
  return found
}

/** Where the link leads; a directory, as since PostgreSQL 15 there may be, lies there itself. */
async function entryOf(dataDir: string, oid: string): Promise<string> {
  const path = join(dataDir, 'pg_tblspc', oid)
  return (await lstat(path)).isSymbolicLink() ? resolve(dirname(path), await readlink(path)) : path
}

/** Lines of `<number> <path>`, in which a backslash comes before a line break of the path. */
async function mapped(dataDir: string): Promise<Map<string, string>> {
  const content = await orGone(readForeignFile(join(dataDir, 'tablespace_map')))
  const lines = (content?.toString() ?? '').split('\n')
  return new Map(
    lines.flatMap((line) => {
      const [, oid, path] = /^(\d+) (.+)$/.exec(line) ?? []
      return oid !== undefined && path !== undefined ? [[oid, path] as const] : []
    }),
  )
}

async function gatherTablespaces(
  { dataDir, tablespacesDir }: Places,
  inside: ReadonlyMap<string, string>,
  files: AccountFiles,
): Promise<void> {
  const homeOf = (oid: string) => join(tablespacesDir, oid)
  const moving = [...inside].filter(([oid, location]) => location !== homeOf(oid))
  // One may lie where another belongs.
  for (const [oid, location] of moving) await files.move(location, `${homeOf(oid)}.moving`)
  for (const [oid] of moving) await files.move(`${homeOf(oid)}.moving`, homeOf(oid))
  for (const oid of inside.keys()) {
    const link = join(dataDir, 'pg_tblspc', oid)
    await files.remove([link])
    await files.link(`${TABLESPACE_LINK}${oid}`, link)
  }
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
