import { chmod, link, open, rm, stat, statfs, truncate } from 'node:fs/promises'
import { dirname } from 'node:path'
import { isSystemError, ProvisionError } from '../../errors.ts'
import { CommandError, run } from '../../exec.ts'
import { failPoint } from '../../faults/faults.ts'
import { isEmptyDirectory, makeDirectory, removeIfEmpty, syncPath } from '../../files.ts'
import { checkProgram } from './btrfs.ts'
import { attachLoop, detachLoop, loopDevicesOf, mountBtrfs, unmount } from './loop.ts'
import { mountAt } from './mounts.ts'

/** mkfs.btrfs(8) wants 109 MiB for data, and twice the metadata; below this a pool is of no use. */
const MIN_BYTES = 256 * 1024 * 1024
/** The first superblock lies at 64 KiB, and its magic number at 0x40 in it (btrfs(5), "superblock"). */
const MAGIC_OFFSET = 0x10040
const MAGIC = '_BHRfS_M'
/** Where the label stands in the first superblock, and the one that tells the pools we make from those we were given. */
const LABEL_OFFSET = 0x1012b
const LABEL = 'dblab'

/**
 * The embedded pool: a sparse file with a btrfs in it, on a loop device, mounted.
 *
 * The file is formatted under another name (`<path>.making`) and linked to its own when that is done, so a file of that name has
 * always been a pool; nothing that holds data is ever formatted. Everything is found again by the file: after a reboot it's attached
 * and mounted anew, and what is attached or mounted already is used as it is.
 */
export class EmbeddedPool {
  readonly path: string
  readonly mountPoint: string

  constructor(path: string, mountPoint: string) {
    this.path = path
    this.mountPoint = mountPoint
  }

  /** Throws UNAVAILABLE where there can be none. */
  async check(): Promise<void> {
    if (process.platform !== 'linux') throw new ProvisionError('UNAVAILABLE', 'an embedded pool needs Linux')
    if (process.geteuid?.() !== 0) {
      throw new ProvisionError('UNAVAILABLE', 'an embedded pool needs root: only root may mount', {
        hint: 'Run the server as root, or keep the data on btrfs or XFS.',
      })
    }
    await checkProgram('mkfs.btrfs')
    await checkProgram('btrfs')
  }

  /** True once the pool has been made. An empty file is none yet. */
  async exists(): Promise<boolean> {
    const content = await this.#content()
    if (content !== 'foreign') return content === 'btrfs'
    throw new ProvisionError('UNAVAILABLE', `${this.path} is there, but holds no btrfs, and is left as it is`, {
      hint: 'Move it away, or choose another data directory.',
    })
  }

  /** Makes the pool unless it's there, attaches and mounts it, and grows it to the size. Can be repeated. */
  async attach(sizeBytes: number): Promise<void> {
    const made = await this.exists()
    // Left by a crash: under this name it has never been mounted.
    await rm(this.#making, { force: true })
    if (made) await this.#attach()
    else await this.#makeAndAttach(sizeBytes)
    await this.#grow(sizeBytes)
  }

  /** Unmounts the pool and frees its loop device; it stays as a file. @throws ProvisionError IN_USE */
  async detach(): Promise<void> {
    if (await this.#isMounted()) await unmount(this.mountPoint)
    for (const device of await loopDevicesOf(this.path)) await detachLoop(device)
  }

  /** Detaches it, and deletes it if it was made here and nobody keeps anything in it. @throws ProvisionError IN_USE */
  async destroy(): Promise<void> {
    const removable = (await this.#isMounted()) && (await isEmptyDirectory(this.mountPoint))
    await this.detach()
    if (!removable || (await this.#read(LABEL_OFFSET, LABEL.length + 1)) !== `${LABEL}\0`) return
    await rm(this.path)
    await syncPath(dirname(this.path))
    await removeIfEmpty(this.mountPoint)
  }

  get #making(): string {
    return `${this.path}.making`
  }

  /** A new pool that can't be mounted goes again: left there, it would pass for the place where the data is. */
  async #makeAndAttach(sizeBytes: number): Promise<void> {
    await this.#make(sizeBytes)
    try {
      await this.#attach()
    } catch (error) {
      await rm(this.path)
      if (!(error instanceof CommandError)) throw error
      throw new ProvisionError('UNAVAILABLE', `an embedded pool can't be mounted here: ${error.message}`, {
        cause: error,
        hint: 'A container needs loop devices and the right to mount (docker run --privileged).',
      })
    }
  }

  async #attach(): Promise<void> {
    await makeDirectory(this.mountPoint, 0o711)
    if (await this.#isMounted()) return
    if (!(await isEmptyDirectory(this.mountPoint))) {
      throw new ProvisionError(
        'UNAVAILABLE',
        `${this.mountPoint} is not empty: mounting the pool would hide what it holds`,
        {
          hint: 'Move its content away, or choose another data directory.',
        },
      )
    }
    const [attached] = await loopDevicesOf(this.path)
    const device = attached ?? (await attachLoop(this.path))
    await failPoint('pool.attached')
    await this.#mount(device, attached === undefined)
    await failPoint('pool.mounted')
  }

  /** Makes the pool at least this large, while it's in use. It never shrinks. */
  async #grow(sizeBytes: number): Promise<void> {
    const { size } = await stat(this.path)
    const target = Math.max(size, sizeBytes)
    if (target > size) {
      await truncate(this.path, target)
      await failPoint('pool.file-grown')
    }
    const { blocks, bsize } = await statfs(this.mountPoint)
    // A crash may have come between the file's growth and the file system's. btrfs rounds down to its own blocks.
    if (target - blocks * bsize < bsize) return
    for (const device of await loopDevicesOf(this.path)) await run(['losetup', '--set-capacity', device])
    await run(['btrfs', 'filesystem', 'resize', 'max', this.mountPoint])
  }

  async #make(sizeBytes: number): Promise<void> {
    if (!(sizeBytes >= MIN_BYTES)) {
      throw new ProvisionError('INVALID', `an embedded pool needs at least ${MIN_BYTES / 2 ** 20} MiB`, {
        hint: 'Raise the size of its image (imageSize), or make room on the disk that it lies on.',
      })
    }
    await makeDirectory(dirname(this.path), 0o711)
    try {
      await makeSparse(this.#making, sizeBytes)
      await failPoint('pool.file-made')
      await run(['mkfs.btrfs', '--quiet', '--label', LABEL, this.#making])
      await syncPath(this.#making)
      await failPoint('pool.formatted')
      // The empty file of someone who reserved the name. A link, unlike a rename, replaces nothing that comes after this.
      if ((await this.#content()) === 'empty') await rm(this.path)
      await link(this.#making, this.path)
      await failPoint('pool.linked')
      await syncPath(dirname(this.path))
    } finally {
      await rm(this.#making, { force: true })
    }
  }

  async #mount(device: string, attachedHere: boolean): Promise<void> {
    try {
      await mountBtrfs(device, this.mountPoint)
      // The account that owns the data passes through, and nobody lists.
      await chmod(this.mountPoint, 0o711)
    } catch (error) {
      if (attachedHere) await detachLoop(device)
      throw error
    }
  }

  async #isMounted(): Promise<boolean> {
    const mount = await mountAt(this.mountPoint)
    if (!mount) return false
    if ((await loopDevicesOf(this.path)).includes(mount.source)) return true
    throw new ProvisionError('UNAVAILABLE', `something else is mounted at ${this.mountPoint}: ${mount.source}`, {
      hint: 'Unmount it, or choose another data directory.',
    })
  }

  async #read(offset: number, length: number): Promise<string> {
    await using file = await open(this.path, 'r')
    const { buffer, bytesRead } = await file.read(Buffer.alloc(length), 0, length, offset)
    return buffer.toString('latin1', 0, bytesRead)
  }

  async #content(): Promise<'absent' | 'empty' | 'btrfs' | 'foreign'> {
    try {
      await using file = await open(this.path, 'r')
      const stats = await file.stat()
      if (stats.isFile() && (stats.size === 0 || stats.blocks === 0)) return 'empty'
      return (await this.#read(MAGIC_OFFSET, MAGIC.length)) === MAGIC ? 'btrfs' : 'foreign'
    } catch (error) {
      if (isSystemError(error, 'ENOENT')) return 'absent'
      if (isSystemError(error, 'EISDIR')) return 'foreign'
      throw error
    }
  }
}

async function makeSparse(path: string, sizeBytes: number): Promise<void> {
  await using file = await open(path, 'wx', 0o600)
  await file.truncate(sizeBytes)
}
