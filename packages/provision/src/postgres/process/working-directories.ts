import { forEachBounded } from '../../bounded.ts'

/** Names a directory for good: by device and inode, not by a path. */
export interface DirectoryIdentity {
  dev: bigint
  ino: bigint
}

export interface WorkingDirectoriesOptions {
  allPids: () => Promise<number[]>
  /** Where this process works; undefined for one that has ended, or is hidden. */
  directoryOf: (pid: number) => Promise<DirectoryIdentity | undefined>
}

/**
 * Which processes work in which directory. To know it, all that run have to be looked at, and a machine with hundreds of clones has thousands:
 * so one look serves all who asked before it began, and there is one at a time.
 */
export class WorkingDirectories {
  readonly #options: WorkingDirectoriesOptions
  #looking: Promise<unknown> = Promise.resolve()
  #next: Promise<ReadonlyMap<string, number[]>> | undefined

  constructor(options: WorkingDirectoriesOptions) {
    this.#options = options
  }

  /** By a look that begins after the call. */
  async pidsIn(directory: DirectoryIdentity): Promise<number[]> {
    const begin = () => {
      this.#next = undefined
      return this.#look()
    }
    this.#next ??= this.#looking.then(begin, begin)
    this.#looking = this.#next
    return (await this.#next).get(nameOf(directory)) ?? []
  }

  async #look(): Promise<ReadonlyMap<string, number[]>> {
    const { allPids, directoryOf } = this.#options
    const found = new Map<string, number[]>()
    await forEachBounded(await allPids(), async (pid) => {
      const directory = await directoryOf(pid)
      if (!directory) return
      const name = nameOf(directory)
      found.set(name, [...(found.get(name) ?? []), pid])
    })
    return found
  }
}

function nameOf({ dev, ino }: DirectoryIdentity): string {
  return `${dev}/${ino}`
}
