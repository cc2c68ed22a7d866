import { randomBytes } from 'node:crypto'
import { mkdir, mkdtemp, open, rm, statfs } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { isSystemError } from '../src/errors.ts'
import { command } from './machine.ts'

/** Room that a test takes from a pool, and gives back. */
export interface Ballast {
  /** Takes all room but so much, in bytes. */
  leave(bytes: number): Promise<void>
  /** Takes the room for names as well, where a file system keeps it apart. */
  leaveNoNames(): Promise<void>
  release(): Promise<void>
}

/** Sizes in which a file system is filled: large ones are fast, small ones reach the end. */
const PIECES = [64 * 2 ** 20, 4 * 2 ** 20, 256 * 1024, 16 * 1024, 4096]

/** By files below `directory/ballast`. */
export function ballastIn(directory: string): Ballast {
  const at = join(directory, 'ballast')
  let parts = 0
  return {
    async leave(bytes: number) {
      await mkdir(at, { recursive: true })
      await command('sync', '--file-system', directory)
      for (const piece of PIECES) {
        for (;;) {
          const { bavail, bsize } = await statfs(directory)
          if (bavail * bsize - bytes < piece) break
          if (!(await taken(join(at, `${parts++}`), piece))) break
        }
      }
    },
    leaveNoNames: () => fillNames(join(at, 'names')),
    async release() {
      await rm(at, { recursive: true, force: true })
      await command('sync', '--file-system', directory)
    },
  }
}

/** False where there was no room for it. Blocks are taken without being written. */
async function taken(file: string, bytes: number): Promise<boolean> {
  try {
    await command('fallocate', '--length', `${bytes}`, file)
    return true
  } catch (error) {
    if (error instanceof Error && /No space left/.test(error.message)) return false
    throw error
  }
}

async function fillNames(directory: string): Promise<void> {
  // Empty, so that all they take is room in the tree of names; long, so that it is soon taken.
  for (let number = 0; ; number++) {
    try {
      await mkdir(directory, { recursive: true })
      await (await open(join(directory, `${number}`.padEnd(255, 'x')), 'w')).close()
    } catch (error) {
      if (isSystemError(error, 'ENOSPC')) return
      throw error
    }
  }
}

export interface SmallZpool extends Ballast, AsyncDisposable {
  name: string
}

/** What a further try to fill a pool that is written to leaves free beyond what it was asked for. */
const ZFS_SLACK_BYTES = 128 * 1024

/** A pool of OpenZFS in a file, filled by a reservation. */
export async function smallZpool(): Promise<SmallZpool> {
  const directory = await mkdtemp(join(tmpdir(), 'zfs-full-'))
  const [name, file] = [`full-${randomBytes(4).toString('hex')}`, join(directory, 'device')]
  await command('truncate', '--size=700M', file)
  await command('zpool', 'create', '-m', `/${name}`, name, file)
  await command('zfs', 'create', '-o', 'canmount=off', `${name}/ballast`)
  const release = async () => void (await command('zfs', 'set', 'refreservation=none', `${name}/ballast`))
  return {
    name,
    release,
    leaveNoNames: async () => {},
    async leave(bytes) {
      await release()
      for (let tries = 0; ; tries++) {
        // What was freed, and what was written, counts after its transaction.
        await command('zpool', 'sync', name)
        const available = Number(await command('zfs', 'list', '-Hp', '-o', 'available', name))
        // Who writes meanwhile takes some of it, again and again.
        const reserved = available - bytes - tries * ZFS_SLACK_BYTES
        if (reserved <= 0) return
        try {
          await command('zfs', 'set', `refreservation=${reserved}`, `${name}/ballast`)
          return
        } catch (error) {
          if (tries === 10 || !(error instanceof Error && /greater than available/.test(error.message))) throw error
        }
      }
    },
    async [Symbol.asyncDispose]() {
      await command('zpool', 'destroy', '-f', name)
      await rm(directory, { recursive: true })
    },
  }
}
