import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { searchPath } from '../src/exec.ts'
import { hasProgram, isRoot } from './machine.ts'

/** Runs a command on a kernel that has ZFS (`RUNNER run --rw DIRECTORY -- COMMAND`), for a machine that has none. */
export const RUNNER = process.env.ZFS_RUNNER ?? join(import.meta.dirname, '../../../../shared/zfs-vm/zfs-vm')

/** Its kernel crashed, or never came up: says nothing about what was tested. */
export const RUNNER_FAILED = 125

export function runnerIsHere(): boolean {
  return existsSync(RUNNER)
}

/** True where this process can make and use ZFS datasets. */
export function zfsIsHere(): boolean {
  if (!isRoot || !hasProgram('zpool')) return false
  return spawnSync('zpool', ['list'], { stdio: 'ignore', env: { PATH: searchPath() } }).status === 0
}
