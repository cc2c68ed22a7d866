import { test } from 'vitest'
import { InnerRunError, type InnerTests, runInside } from './inner-run.ts'
import { isLong as longTests } from './machine.ts'
import { describeDriver } from './requirements.ts'
import { RUNNER, RUNNER_FAILED, runnerIsHere } from './zfs-runner.ts'

/**
 * Declares a test that runs a test file again on a kernel that has ZFS, for a machine that has none; skipped, with the reason, where
 * there is no such kernel either.
 *
 * @param check what is to be true of the number of tests that passed there
 * @param isLong takes many minutes on a kernel within the kernel, so that it is run with `DBLAB_LONG_TESTS` alone
 */
export function testOnZfs(
  title: string,
  inner: InnerTests,
  check: (passed: number) => void,
  { isLong = false }: { isLong?: boolean } = {},
): void {
  const missing = runnerIsHere()
    ? undefined
    : 'ZFS does not work here (zpool list), and ZFS_RUNNER names nothing that has it'
  describeDriver('zfs', missing, () => {
    const name = isLong ? `${title} (under the runner; with DBLAB_LONG_TESTS)` : title
    test.skipIf(isLong && !longTests)(name, { timeout: 5_000_000 }, async () => {
      const wrap = async (argv: string[], reports: string) => [
        RUNNER,
        'run',
        '--rw',
        reports,
        '--timeout',
        '3600',
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
