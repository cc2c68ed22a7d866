import { rmSync } from 'node:fs'
import { rm, stat, statfs, writeFile } from 'node:fs/promises'
import { isSystemError } from '@dblab/provision'

/** More than the catalogue writes for a few hundred deletions. */
const BYTES = 4 * 1024 * 1024
/** The reserve is kept while the disk has this many times as much: it must not be what fills it. */
const PLENTY = 16

/** Room beside the catalogue that is given up where a disk is full: else nothing could be deleted, which is what makes room. */
export class Reserve {
  readonly #file: string

  constructor(file: string) {
    this.#file = file
  }

  /** Makes it, unless it is there or the disk has little left. */
  async keep(directory: string): Promise<void> {
    if ((await size(this.#file)) === BYTES) return
    const { bavail, bsize } = await statfs(directory)
    if (bavail * bsize < BYTES * PLENTY) return
    try {
      // Not zeros: a file system might keep those as a hole, or compress them away.
      await writeFile(
        this.#file,
        crypto
          .getRandomValues(Buffer.alloc(65_536))
          .toString('latin1')
          .repeat(BYTES / 65_536),
        {
          encoding: 'latin1',
          mode: 0o600,
          flush: true,
        },
      )
    } catch (error) {
      await rm(this.#file, { force: true })
      if (!isSystemError(error, 'ENOSPC', 'EDQUOT')) throw error
    }
  }

  giveUp(): void {
    rmSync(this.#file, { force: true })
  }
}

async function size(file: string): Promise<number | undefined> {
  try {
    return (await stat(file)).size
  } catch (error) {
    if (isSystemError(error, 'ENOENT')) return undefined
    throw error
  }
}
