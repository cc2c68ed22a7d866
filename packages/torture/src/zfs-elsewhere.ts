import { spawnSync } from 'node:child_process'
import { RUNNER, runnerIsHere } from '@dblab/provision/testbed/zfs-runner'

/** What it takes at most, in seconds: a thousand kills are a matter of hours there. */
const TIMEOUT_SECONDS = 6 * 3600

/**
 * Runs this program again, where ZFS works.
 *
 * @returns its exit status
 */
export function runElsewhere(args: readonly string[]): number {
  if (!runnerIsHere()) {
    process.stderr.write('torture: ZFS does not work here (zpool list), and ZFS_RUNNER names nothing that has it\n')
    return 1
  }
  const program = [process.execPath, process.argv[1] ?? '', ...args]
  const options = ['run', '--rw', process.cwd(), '--disk', '12G', '--timeout', String(TIMEOUT_SECONDS)]
  return spawnSync(RUNNER, [...options, '--', ...program], { stdio: 'inherit' }).status ?? 1
}
