import { spawnSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { existsSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'vitest'
import { searchPath } from '../src/exec.ts'
import { InnerRunError, type InnerTests, REPOSITORY, runInside } from './inner-run.ts'
import { command, hasProgram, isRoot } from './machine.ts'
import { describeDriver } from './requirements.ts'

/** Runs a command on a kernel that has ZFS (`RUNNER run --rw DIRECTORY -- COMMAND`), for a machine that has none. */
const RUNNER = process.env.ZFS_RUNNER ?? join(REPOSITORY, '../shared/zfs-vm/zfs-vm')

/** Its kernel crashed, or never came up: says nothing about what was tested. */
const RUNNER_FAILED = 125

/** True where this process can make and use ZFS datasets. */
export function zfsIsHere(): boolean {
  if (!isRoot || !hasProgram('zpool')) return false
  return spawnSync('zpool', ['list'], { stdio: 'ignore', env: { PATH: searchPath() } }).status === 0
}

/**
 * Declares a test that runs a test file again on a kernel that has ZFS, for a machine that has none; skipped, with the reason, where
 * there is no such kernel either.
 *
 * @param check what is to be true of the number of tests that passed there
 */
export function testOnZfs(title: string, inner: InnerTests, check: (passed: number) => void): void {
  const missing = existsSync(RUNNER)
    ? undefined
    : 'ZFS does not work here (zpool list), and ZFS_RUNNER names nothing that has it'
  describeDriver('zfs', missing, () => {
    test(title, { timeout: 1_800_000 }, async () => {
      const wrap = async (argv: string[], reports: string) => [
        RUNNER,
        'run',
        '--rw',
        reports,
        '--timeout',
        '1500',
        '--',
        ...argv,
      ]
      const run = () => runInside(inner, wrap, { REQUIRED_DRIVERS: 'zfs' })
      const passed = await run().catch((error: unknown) => {
        if (!(error instanceof InnerRunError) || error.status !== RUNNER_FAILED) throw error
        console.warn(`${error.message}: the runner itself failed, and gets a second chance`)
        return run()
      })
      console.log(`zfs: ${passed} tests of ${inner.file} passed inside ${RUNNER}`)
      check(passed)
    })
  })
}

export interface TestPool extends AsyncDisposable {
  name: string
}

/** The pool that the environment names, or else one in a file. */
export async function testPool(): Promise<TestPool> {
  const given = process.env.ZFS_VM_POOL
  if (given !== undefined) return { name: given, [Symbol.asyncDispose]: async () => {} }
  const directory = await mkdtemp(join(tmpdir(), 'zfs-pool-'))
  const [name, file] = [`dblab-test-${randomBytes(4).toString('hex')}`, join(directory, 'device')]
  await command('truncate', '--size=2G', file)
  await command('zpool', 'create', '-m', `/${name}`, name, file)
  return {
    name,
    async [Symbol.asyncDispose]() {
      await command('zpool', 'destroy', name)
      await rm(directory, { recursive: true })
    },
  }
}
