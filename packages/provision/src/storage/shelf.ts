import { randomBytes } from 'node:crypto'
import { readdir, rename, rm, rmdir } from 'node:fs/promises'
import { join } from 'node:path'
import { forEachBounded } from '../bounded.ts'
import { isSystemError, ProvisionError } from '../errors.ts'
import { failPoint } from '../faults/faults.ts'
import { exists, makeDirectory, syncPath } from '../files.ts'
import { isId, parseSnapshotName } from './ids.ts'
import { LABEL_FILES, type Label, labelledName, readLabel, replaceLabel, writeLabel } from './label.ts'
import { alreadyExists, notFound } from './report.ts'
import type { Trees } from './trees.ts'

type Kind = Label['kind']
type LabelOf<K extends Kind> = Extract<Label, { kind: K }>

export interface ShelfOptions<K extends Kind> {
  kind: K
  labId: string
  /** Of the shelf itself. */
  mode: number
  trees: Pick<Trees, 'remove'>
}

/** Passable for the account that owns the trees, readable for none but ours. */
export const PASSABLE = 0o711

/**
 * A directory of volumes or of snapshots, each `<name>/{label.json,files}`.
 *
 * A directory is made under a hidden name and published by one rename, and renamed back to a hidden name before it's removed: what is
 * listed is always whole, and what a crash leaves is known by its name. A directory without a sound label of this lab is someone
 * else's.
 */
export class Shelf<K extends Kind> {
  readonly path: string
  readonly #options: ShelfOptions<K>
  readonly #left = new Set<string>()

  constructor(path: string, options: ShelfOptions<K>) {
    this.path = path
    this.#options = options
  }

  /** Makes it, and removes what calls that a crash cut off left half made. */
  async open(): Promise<void> {
    await makeDirectory(this.path, this.#options.mode)
    await forEachBounded(await readdir(this.path), async (name) => {
      if (name.startsWith(this.#hiddenPrefix()) || (await this.#isRemnant(name)))
        await this.#discard(join(this.path, name))
    })
  }

  /** The file tree of what bears this name. */
  files(name: string): string {
    return join(this.path, name, 'files')
  }

  /** The label of what bears this name, if it is a sound one of this lab. */
  async find(name: string): Promise<LabelOf<K> | undefined> {
    const label = await this.#label(name)
    return label && (await exists(this.files(name))) ? label : undefined
  }

  async #label(name: string): Promise<LabelOf<K> | undefined> {
    const label = await readLabel(join(this.path, name))
    if (!label) await this.#requireThere()
    if (!label || !this.#isOfKind(label)) return undefined
    return label.lab === this.#options.labId && labelledName(label) === name ? label : undefined
  }

  /** One that was removed under its own name, on a full file system, as far as its label. */
  async #isRemnant(name: string): Promise<boolean> {
    return this.#isName(name) && (await this.#label(name)) !== undefined && !(await exists(this.files(name)))
  }

  #isName(name: string): boolean {
    return this.#options.kind === 'volume' ? isId(name) : parseSnapshotName(name) !== undefined
  }

  async list(): Promise<LabelOf<K>[]> {
    const found: LabelOf<K>[] = []
    const names = (await readdir(this.path)).filter((name) => this.#isName(name))
    await forEachBounded(names, async (name) => {
      const label = await this.find(name)
      if (label) found.push(label)
    })
    return found.sort((a, b) => (labelledName(a) < labelledName(b) ? -1 : 1))
  }

  /**
   * Makes the directory of this label whole or not at all, and takes its name to disk: what a power cut leaves under a hidden name, or
   * without its tree, the next `open` removes, with all that has been written to it since. That is not left to Postgres: what it flushes in the
   * new volume need not bring the name along.
   *
   * @param fill makes the tree
   * @param settle of the trees, if that makes the tree appear whole, and takes to disk what was done in the file system before it: no flush of
   * our own then
   * @throws ProvisionError ALREADY_EXISTS
   */
  async publish(label: LabelOf<K>, fill: (files: string) => Promise<void>, settle?: Trees['settle']): Promise<void> {
    const target = join(this.path, labelledName(label))
    if (await exists(target)) throw alreadyExists(label.kind, labelledName(label))
    // Made here, it would lie below the mount point, hidden as soon as the pool is back.
    await this.#requireThere()
    const hidden = join(this.path, this.#hiddenName())
    await makeDirectory(hidden, PASSABLE)
    await this.#orDiscard(hidden, async () => {
      await writeLabel(hidden, label, settle)
      await failPoint('shelf.labelled')
      if (settle) return
      await fill(join(hidden, 'files'))
      await failPoint('shelf.filled')
      await syncPath(hidden)
    })
    await this.#orDiscard(hidden, () => this.#name(hidden, target, label))
    await this.#orDiscard(target, async () => {
      await failPoint('shelf.named')
      if (settle) {
        // It has no tree until now, and so it is not listed.
        await fill(join(target, 'files'))
        await failPoint('shelf.filled')
      } else await syncPath(this.path)
      await failPoint('shelf.published')
    })
  }

  async #name(hidden: string, target: string, label: LabelOf<K>): Promise<void> {
    try {
      await rename(hidden, target)
    } catch (error) {
      // Another call has published this name since we looked.
      if (isSystemError(error, 'EEXIST', 'ENOTEMPTY', 'ENOTDIR') && (await exists(target)))
        throw alreadyExists(label.kind, labelledName(label))
      throw error
    }
  }

  /** Writes another label over the one that is there. @throws ProvisionError NOT_FOUND */
  async relabel(label: LabelOf<K>): Promise<void> {
    const name = labelledName(label)
    try {
      await replaceLabel(join(this.path, name), label)
    } catch (error) {
      // Retired since it was found: what was begun is removed with it.
      if (isSystemError(error, 'ENOENT') && !(await exists(join(this.path, name)))) throw notFound(label.kind, name)
      throw error
    }
  }

  async retire(label: LabelOf<K>): Promise<void> {
    const named = join(this.path, labelledName(label))
    const hidden = join(this.path, this.#hiddenName())
    try {
      await rename(named, hidden)
    } catch (error) {
      if (!isSystemError(error, 'ENOSPC', 'EDQUOT')) throw error
      // A new name takes room that a full file system may not have; to remove takes none, and makes some.
      await this.#discard(named)
      return
    }
    await failPoint('shelf.hidden')
    await this.#discardOrRemember(hidden)
  }

  /** Removes what earlier calls could not: under a hidden name, only they know of it before the next `open`. */
  async sweep(): Promise<void> {
    for (const directory of this.#left) {
      await this.#discard(directory)
      this.#left.delete(directory)
    }
  }

  async #discardOrRemember(directory: string): Promise<void> {
    try {
      await this.#discard(directory)
    } catch (error) {
      this.#left.add(directory)
      throw error
    }
  }

  /** @throws what the work throws, once what it left is gone */
  async #orDiscard(directory: string, work: () => Promise<void>): Promise<void> {
    try {
      await work()
    } catch (error) {
      await this.#discardAfter(error, directory)
      throw error
    }
  }

  async #discardAfter(error: unknown, directory: string): Promise<void> {
    try {
      await this.#discardOrRemember(directory)
    } catch (second) {
      const cause = new AggregateError([error, second], 'the work failed, and so did removing what it left')
      const hint = 'What is left is hidden, and removed when the pool is opened next.'
      throw new ProvisionError('FAILED', `a half-made directory could not be removed: ${directory}`, { cause, hint })
    }
  }

  /** Tries again when a program that a killed server had begun still adds to the directory. */
  async #discard(directory: string, attempts = 5): Promise<void> {
    await this.#options.trees.remove(join(directory, 'files'))
    await failPoint('shelf.emptied')
    for (const file of LABEL_FILES) await rm(join(directory, file), { force: true })
    try {
      await rmdir(directory)
    } catch (error) {
      if (isSystemError(error, 'ENOENT')) return
      if (!isSystemError(error, 'ENOTEMPTY', 'EEXIST') || attempts <= 1) throw error
      await this.#discard(directory, attempts - 1)
    }
  }

  /** A pool that is not mounted has none of what is in it, and none of that is gone. */
  async #requireThere(): Promise<void> {
    if (await exists(this.path)) return
    throw new ProvisionError('UNAVAILABLE', `${this.path} is not there`, {
      hint: 'Is the pool mounted? A start of the server mounts its own; stop it first (Ctrl-C leaves the clones).',
    })
  }

  #isOfKind(label: Label): label is LabelOf<K> {
    return label.kind === this.#options.kind
  }

  /** No id begins with a dot; the lab's id is in it, since another lab may be at work in the same directory. */
  #hiddenPrefix(): string {
    return `.dblab~${this.#options.labId}~`
  }

  #hiddenName(): string {
    return `${this.#hiddenPrefix()}${randomBytes(8).toString('hex')}`
  }
}
