import { execFile } from 'node:child_process'
import { existsSync, watch } from 'node:fs'
import { chmod, mkdir, mkdtemp, rename, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { searchPath } from '../src/exec.ts'

export const isRoot = process.geteuid?.() === 0

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
