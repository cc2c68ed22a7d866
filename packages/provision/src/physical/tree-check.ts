import type { Stats } from 'node:fs'
import { lstat, readlink } from 'node:fs/promises'
import { join } from 'node:path'
import { ProvisionError } from '../errors.ts'
import { TABLESPACE_LINK } from '../postgres/names.ts'
import type { Account } from '../postgres/runtime.ts'
import { heldDirectoriesOf } from '../storage/tree.ts'

/** How many offending names a message has. */
const MOST_NAMES = 5

/** Not all that the storage may show at the top of a volume is of it, such as OpenZFS' `.zfs`. */
const PARTS = ['data', 'tablespaces'] as const

/**
 * Looks at every file of a cluster once, so that a clone of it shares nothing with anything and Postgres can have all of it: no link leads
 * out, no file has another name elsewhere, all is the account's.
 *
 * @throws ProvisionError INVALID with names
 */
export async function checkTree(volumePath: string, account: Account): Promise<void> {
  const found = new Findings()
  for (const part of PARTS) {
    for await (const { directory, at } of heldDirectoriesOf(join(volumePath, part))) {
      for (const { name } of await directory.entries())
        await found.take(join(part, at, name), directory.entry(name), account)
    }
  }
  found.report(account)
}

function isTablespaceLink(path: string, target: string): boolean {
  const oid = /^data\/pg_tblspc\/(\d+)$/.exec(path)?.[1]
  return oid !== undefined && target === `${TABLESPACE_LINK}${oid}`
}

class Findings {
  readonly links: string[] = []
  readonly foreign: string[] = []
  readonly special: string[] = []
  readonly #shared = new Map<string, { names: string[]; links: number }>()

  /** @param path of it in the volume; @param at where it can be looked at */
  async take(path: string, at: string, account: Account): Promise<void> {
    const stats = await lstat(at)
    if (stats.uid !== account.uid) this.foreign.push(path)
    if (stats.isSymbolicLink()) {
      if (!isTablespaceLink(path, await readlink(at))) this.links.push(path)
    } else if (stats.isFile()) this.#takeFile(path, stats)
    else if (!stats.isDirectory()) this.special.push(path)
  }

  /** One with several names is fine when all of them are here: PostgreSQL 14 names a segment of WAL anew by a second link. */
  #takeFile(path: string, { nlink, dev, ino }: Stats): void {
    if (nlink === 1) return
    const known = this.#shared.get(`${dev}:${ino}`)
    if (known) known.names.push(path)
    else this.#shared.set(`${dev}:${ino}`, { names: [path], links: nlink })
  }

  report({ name }: Account): void {
    const shared = [...this.#shared.values()].filter(({ names, links }) => names.length < links)
    refuse('lead elsewhere', this.links, 'Have the files themselves brought in the place of links.')
    refuse(
      'have other names outside of the volume',
      shared.flatMap(({ names }) => names),
      'Have them copied, not linked.',
    )
    refuse('are no files', this.special, 'Remove them: Postgres keeps no such things there.')
    refuse(`do not belong to ${name}, who runs Postgres`, this.foreign, `Have the copy made by ${name}, or chown it.`)
  }
}

function refuse(what: string, paths: readonly string[], hint: string): void {
  if (paths.length === 0) return
  const more = paths.length > MOST_NAMES ? ` and ${paths.length - MOST_NAMES} more` : ''
  const names = paths.slice(0, MOST_NAMES).map((path) => JSON.stringify(path))
  throw new ProvisionError('INVALID', `in the volume of the data, these ${what}: ${names.join(', ')}${more}`, { hint })
}
