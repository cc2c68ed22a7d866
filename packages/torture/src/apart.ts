import { spawnSync } from 'node:child_process'

const APART = 'DBLAB_TORTURE_APART'

/** True for root, who can, and has not yet. */
export function mustGoApart(): boolean {
  return process.getuid?.() === 0 && process.platform === 'linux' && process.env[APART] === undefined
}

/**
 * Runs this program again with shared memory and mounts of its own: what is left there is the lab's, and no other program's on the
 * machine.
 *
 * @returns its exit status
 */
export function runApart(): number {
  const script = 'mount -t tmpfs tmpfs /dev/shm && exec "$0" "$@"'
  const argv = ['--ipc', '--mount', '--', 'sh', '-c', script, process.execPath, ...process.argv.slice(1)]
  const { status, error } = spawnSync('unshare', argv, { stdio: 'inherit', env: { ...process.env, [APART]: '1' } })
  if (error) throw error
  return status ?? 1
}
