import { describe, expect, test } from 'vitest'
import { CommandError } from '../../exec.ts'
import { explainZfs, isBusy } from './errors.ts'

function failed(stderr: string): CommandError {
  return new CommandError(['zfs', 'x'], 1, stderr, undefined)
}

/** Captured from OpenZFS 2.3.2 under LC_ALL=C, but for what is hard to bring about: no space, no module, no right to mount, the unknown. */
const MESSAGES: [stderr: string, code: string][] = [
  ["cannot create 'tank/lab/v': dataset already exists", 'ALREADY_EXISTS'],
  ["cannot create snapshot 'tank/lab/v@s': dataset already exists", 'ALREADY_EXISTS'],
  ["cannot create 'tank/none/x': parent does not exist", 'UNAVAILABLE'],
  ["cannot create 'nopool/x': no such pool 'nopool'", 'UNAVAILABLE'],
  ["cannot open 'nopool': no such pool", 'UNAVAILABLE'],
  ["cannot open 'tank/lab/none': dataset does not exist\nusage:\n\tsnapshot [-r] [-o property=value] ...", 'NOT_FOUND'],
  ["cannot open 'tank/lab/v@none': dataset does not exist", 'NOT_FOUND'],
  ['could not find any snapshots to destroy; check snapshot names.', 'NOT_FOUND'],
  [
    "cannot destroy 'tank/lab/v': filesystem has children\nuse '-r' to destroy the following datasets:\ntank/lab/v@s",
    'IN_USE',
  ],
  [
    "cannot destroy 'tank/lab/v@s': snapshot has dependent clones\nuse '-R' to destroy the following datasets:\ntank/lab/c",
    'IN_USE',
  ],
  ["cannot unmount '/tank/lab/c': pool or dataset is busy", 'IN_USE'],
  ["cannot destroy snapshot tank/lab/v@f: it's being held. Run 'zfs holds -r tank/lab/v@f' to see holders.", 'IN_USE'],
  ['Permission denied the ZFS utilities must be run as root.', 'UNAVAILABLE'],
  [
    "cannot mount '/tank/lab/ro': failed to create mountpoint: Read-only file system\nfilesystem successfully created, but not mounted",
    'UNAVAILABLE',
  ],
  ["cannot create 'tank/a': out of space", 'NO_SPACE'],
  ['filesystem successfully created, but it may only be mounted by root', 'UNAVAILABLE'],
  ["The ZFS modules cannot be auto-loaded.\nTry running 'modprobe zfs' as root to manually load them.", 'UNAVAILABLE'],
  ["cannot create 'tank/a': something new", 'FAILED'],
  ['', 'FAILED'],
]

describe('what zfs says on failure', () => {
  test.each(MESSAGES)('%s is %s', (stderr, code) => {
    expect(explainZfs(failed(stderr), 'making a')).toMatchObject({ code, name: 'ProvisionError' })
  })

  test('the message carries the first line, which tells what is wrong', () => {
    const error = explainZfs(failed("cannot destroy 'a': filesystem has children\nuse '-r' to destroy"), 'destroying a')
    expect(error.message).toBe("destroying a failed: cannot destroy 'a': filesystem has children")
  })

  test('what is busy may be tried again, and nothing else', () => {
    expect(isBusy(failed("cannot unmount '/tank/lab/c': pool or dataset is busy"))).toBe(true)
    expect(isBusy(failed("cannot destroy 'tank/lab/v': filesystem has children"))).toBe(false)
  })
})
