import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'vitest'
import type { ProvisionErrorCode } from '../src/errors.ts'
import { searchPath } from '../src/exec.ts'
import type { Snapshot, StorageDriver } from '../src/storage/driver.ts'
import { openStorage, type StorageConfig } from '../src/storage/open.ts'

export const SOURCE = { volumeId: 'source', snapshotId: 'base' }

/** A volume with one file, and a snapshot of it. */
export async function makeSource(driver: StorageDriver): Promise<Snapshot> {
  const { path } = await driver.createVolume(SOURCE.volumeId)
  await writeFile(join(path, 'file'), 'from the source')
  return driver.snapshot(SOURCE.volumeId, SOURCE.snapshotId)
}

export async function expectError(work: Promise<unknown>, code: ProvisionErrorCode, users?: string[]): Promise<void> {
  const outcome = await work.then(
    () => 'it worked',
    (error: unknown) => error,
  )
  expect(outcome).toMatchObject({ name: 'ProvisionError', code, ...(users && { users }) })
}

/** Another driver object, which has made nothing itself. */
export async function reopened(config: StorageConfig): Promise<StorageDriver> {
  return (await openStorage(config)).driver
}

export async function volumeIds(driver: StorageDriver): Promise<string[]> {
  return (await driver.listVolumes()).map((volume) => volume.id).sort()
}

export async function snapshotNames(driver: StorageDriver): Promise<string[]> {
  return (await driver.listSnapshots()).map(({ volumeId, snapshotId }) => `${volumeId}@${snapshotId}`).sort()
}

/**
 * Lets the program do its work and then fail, when one of its arguments is one of these words: what a mount that is refused, or a
 * killed program, looks like to its caller. Until disposed of.
 */
export async function failingProgram(program: string, words: readonly string[]): Promise<AsyncDisposable> {
  const directory = await mkdtemp(join(tmpdir(), 'failing-'))
  const path = process.env.PATH
  const matches = words.map((word) => `*" ${word} "*`).join('|')
  const script = `#!/bin/sh
PATH='${searchPath()}'
export PATH
${program} "$@" || exit
case " $* " in ${matches}) echo 'made to fail by a test' >&2; exit 1;; esac
`
  await writeFile(join(directory, program), script)
  await chmod(join(directory, program), 0o755)
  process.env.PATH = `${directory}:${path}`
  return {
    async [Symbol.asyncDispose]() {
      process.env.PATH = path
      await rm(directory, { recursive: true })
    },
  }
}
