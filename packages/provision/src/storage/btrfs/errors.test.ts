import { expect, test } from 'vitest'
import { CommandError } from '../../exec.ts'
import { explainBtrfs } from './errors.ts'

test.each([
  ["ERROR: cannot snapshot 'a': No space left on device", 'NO_SPACE'],
  ["ERROR: cannot snapshot 'a': Disk quota exceeded", 'NO_SPACE'],
  ['ERROR: cannot create subvolume: Read-only file system', 'UNAVAILABLE'],
  ['ERROR: Could not destroy subvolume/snapshot: Operation not permitted', 'UNAVAILABLE'],
  ["ERROR: cannot snapshot 'a': Permission denied", 'UNAVAILABLE'],
  ["ERROR: cannot snapshot 'a': Input/output error", 'FAILED'],
  ['ERROR: something new', 'FAILED'],
])('%s is %s', (stderr, code) => {
  const error = explainBtrfs(new CommandError(['btrfs', 'subvolume'], 1, stderr, undefined), 'making the volume v')
  expect(error).toMatchObject({
    code,
    message: expect.stringMatching(/^making the volume v failed: btrfs subvolume failed/),
  })
})
