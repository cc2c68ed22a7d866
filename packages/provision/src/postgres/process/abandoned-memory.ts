import { lstatSync } from 'node:fs'
import { readdir, readlink } from 'node:fs/promises'
import { join } from 'node:path'
import { mapBounded, mapInTurn } from '../../bounded.ts'
import { isSystemError } from '../../errors.ts'
import { allPids } from '../../pids.ts'
import type { Account } from '../runtime.ts'
import type { ProcessTable } from './processes.ts'
import { removeSegment, withListed } from './shared-memory.ts'

const DIRECTORY = '/dev/shm'
/** PROC_PID_INIT_INO (include/linux/proc_ns.h): from here, every process of the machine is seen. */
const FIRST_NAMESPACE = 'pid:[4026531836]'

/**
 * Segments that nobody will ever free: a process of a server that somebody else killed (the system, short of memory) was making one, and had
 * not yet entered it into the server's list; or the server itself was killed before it was noted what it had made.
 */
export class AbandonedMemory {
  readonly #table: ProcessTable
  readonly #account: Account
  #suspects = new Set<string>()

  constructor(table: ProcessTable, account: Account) {
    this.#table = table
    this.#account = account
  }

  /**
   * Frees what was the account's and nobody's at the last call, and still is: a process that is looked at may have just made one. For the
   * background. Does nothing where other processes of the machine can't be seen.
   *
   * @param known segments that servers are known to have made; what those list is theirs too
   */
  async free(known: Iterable<string>): Promise<string[]> {
    const candidates = new Set(await this.#ofAccount())
    if (candidates.size > 0) for (const path of await withListed(known)) candidates.delete(path)
    const used = candidates.size > 0 && (await this.#seesAll()) ? await this.#inUse() : undefined
    // Of what is hidden from us, all may be in use.
    if (used === undefined) candidates.clear()
    else for (const path of await withListed(used)) candidates.delete(path)
    const abandoned = new Set([...candidates].filter((path) => this.#suspects.has(path)))
    // Lists last, as ever.
    for (const path of await withListed(abandoned))
      if (abandoned.has(path)) await removeSegment(path, this.#account.uid)
    this.#suspects = candidates
    return [...abandoned]
  }

  async #ofAccount(): Promise<string[]> {
    const names = (await orNone(() => readdir(DIRECTORY))) ?? []
    const paths = names.filter((name) => /^PostgreSQL\.\d+$/.test(name)).map((name) => join(DIRECTORY, name))
    const owners = await mapInTurn(paths, (path) => lstatSync(path, { throwIfNoEntry: false }))
    return paths.filter((_, index) => owners[index]?.isFile() && owners[index].uid === this.#account.uid)
  }

  /** Others than root see the processes of their own account, and no others could have opened its segments. */
  async #seesAll(): Promise<boolean> {
    const user = process.getuid?.()
    if (user !== 0 && user !== this.#account.uid) return false
    return (await orNone(() => readlink('/proc/self/ns/pid'))) === FIRST_NAMESPACE
  }

  /** Undefined where there is a process that could have some of it in use, and can't be looked at. */
  async #inUse(): Promise<string[] | undefined> {
    // Hundreds of clones are thousands of processes, each with its list of memory and files: not all of them at once.
    const found = await mapBounded(await allPids(), async (pid) => {
      const memory = await this.#table.sharedMemory(pid)
      if (memory !== undefined) return memory.posix
      return (await this.#table.mayBelongTo(this.#account.uid, pid)) ? undefined : []
    })
    return found.includes(undefined) ? undefined : found.flatMap((posix) => posix ?? [])
  }
}

/** Undefined for what is not there, or not any more. */
async function orNone<T>(read: () => Promise<T>): Promise<T | undefined> {
  try {
    return await read()
  } catch (error) {
    if (isSystemError(error, 'ENOENT', 'EACCES', 'ENOTDIR')) return undefined
    throw error
  }
}
