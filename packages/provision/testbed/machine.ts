import { execFile } from 'node:child_process'
import { existsSync, watch } from 'node:fs'
import { chmod, mkdir, mkdtemp, rename, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { searchPath } from '../src/exec.ts'

export const isRoot = process.geteuid?.() === 0

/** Whether tests of many minutes are wanted, too: `npm run test:long`. */
export const isLong = Boolean(process.env.DBLAB_LONG_TESTS)

/** Whether each process and each new page takes this machine many times as long as others: `scripts/test.mjs` tells. */
export const isSlow = Boolean(process.env.DBLAB_SLOW_MACHINE)

/** For the title of one that is skipped where they are not. */
export const tooLong = isLong ? '' : ' (skipped: npm run test:long)'

export interface MountedImage extends AsyncDisposable {
  directory: string
  /** Takes the file system back to what had reached its device at this moment: what a power cut leaves of it. Mounted again, at the same place. */
  cutPower(): Promise<void>
}

/** A file system of this kind in a file, mounted. Root only. */
export async function mountedImage(kind: 'xfs' | 'btrfs' | 'ext4', options = 'loop'): Promise<MountedImage> {
  const top = await mkdtemp(join(tmpdir(), `${kind}-`))
  await chmod(top, 0o755)
  const [image, directory] = [join(top, 'image'), join(top, 'mounted')]
  await mkdir(directory)
  await command('truncate', '--size=2G', image)
  await command(`mkfs.${kind}`, '-q', image)
  await command('mount', '-o', options, image, directory)
  return {
    directory,
    async cutPower() {
      // The writes that a loop device has completed are in its file; what the file system still held back is not.
      await command('cp', '--sparse=always', image, `${image}.cut`)
      await command('umount', directory)
      await rename(`${image}.cut`, image)
      await command('mount', '-o', options, image, directory)
    },
    async [Symbol.asyncDispose]() {
      await command('umount', directory)
      await rm(top, { recursive: true })
    },
  }
}

export interface MountedDisk extends AsyncDisposable {
  directory: string
}

/**
 * The same on what behaves like a disk of its own: the image has been written to its end, as a disk is once it has been in use, and what is written
 * goes past the cache of the file system that it lies on. For measurements; root only.
 */
export async function mountedDisk(kind: 'xfs' | 'btrfs', gigabytes: number): Promise<MountedDisk> {
  const top = await mkdtemp(join(tmpdir(), `${kind}-disk-`))
  await chmod(top, 0o755)
  const [image, directory] = [join(top, 'image'), join(top, 'mounted')]
  await mkdir(directory)
  await command('dd', 'if=/dev/zero', `of=${image}`, 'bs=4M', `count=${gigabytes * 256}`, 'oflag=direct', 'status=none')
  const device = (await command('losetup', '--find', '--show', '--direct-io=on', image)).trim()
  // Without discarding what has been written.
  await command(`mkfs.${kind}`, '-q', '-K', device)
  await command('mount', '-o', 'nodiscard', device, directory)
  return {
    directory,
    async [Symbol.asyncDispose]() {
      // First, and nothing after it where it fails: else what is in use would be removed.
      await command('umount', directory)
      await command('losetup', '--detach', device)
      await rm(top, { recursive: true })
    },
  }
}

export async function command(program: string, ...args: string[]): Promise<string> {
  const { stdout } = await promisify(execFile)(program, args, {
    env: { ...process.env, PATH: searchPath(), LC_ALL: 'C' },
  })
  return stdout
}

export function hasProgram(name: string): boolean {
  return searchPath()
    .split(':')
    .some((directory) => existsSync(join(directory, name)))
}

/** Resolves once there is something at this path, whose directory exists. */
export async function appears(path: string): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  const look = () => existsSync(path) && resolve()
  const watcher = watch(dirname(path), look).on('error', reject)
  look()
  await promise.finally(() => watcher.close())
}
