import { constants, type Dirent, type Stats } from 'node:fs'
import { type FileHandle, open, readdir } from 'node:fs/promises'
import { join } from 'node:path'

const { O_RDONLY, O_DIRECTORY, O_NOFOLLOW, O_NONBLOCK } = constants

/**
 * A directory held open, and what is in it by name. Who may write in a tree can put a link into a path at any moment, for another account
 * to follow; what is held can't be exchanged. Node has no openat(2): on Linux, `/proc/self/fd/<number>` (proc(5)) stands for what is open
 * there. Elsewhere the names are paths as they were, which do for a tree that nobody else writes in.
 */
export class HeldDirectory implements AsyncDisposable {
  readonly #handle: FileHandle
  readonly #path: string

  private constructor(handle: FileHandle, path: string) {
    this.#handle = handle
    this.#path = held(handle, path)
  }

  /** @throws system error ELOOP or ENOTDIR for a link, or anything that is no directory */
  static async open(path: string): Promise<HeldDirectory> {
    return new HeldDirectory(await open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW), path)
  }

  /** What is in it by this name, for calls that do not follow a link in the last place of a path. */
  entry(name: string): string {
    return join(this.#path, name)
  }

  entries(): Promise<Dirent[]> {
    return readdir(this.#path, { withFileTypes: true })
  }

  stat(): Promise<Stats> {
    return this.#handle.stat()
  }

  openDirectory(name: string): Promise<HeldDirectory> {
    return HeldDirectory.open(this.entry(name))
  }

  /** Open for reading, without waiting for a writer where it is a FIFO: look at what it is. @throws system error ELOOP for a link */
  async openFile(name: string): Promise<HeldFile> {
    const path = this.entry(name)
    return new HeldFile(await open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK), path)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#handle.close()
  }
}

/** A file held open. */
export class HeldFile implements AsyncDisposable {
  /** For calls that want a name: it is this very file's. */
  readonly path: string
  readonly #handle: FileHandle

  constructor(handle: FileHandle, path: string) {
    this.#handle = handle
    this.path = held(handle, path)
  }

  stat(): Promise<Stats> {
    return this.#handle.stat()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#handle.close()
  }
}

function held({ fd }: FileHandle, path: string): string {
  return process.platform === 'linux' ? `/proc/self/fd/${fd}` : path
}
