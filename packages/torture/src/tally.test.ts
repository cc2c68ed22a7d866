import { appendFile, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { Tally } from './tally.ts'

test('counts what processes wrote of their faults, each once', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'tally-'))
  try {
    const file = join(directory, 'faults.log')
    const tally = new Tally('zfs')
    tally.take(file)
    await appendFile(file, 'reached start.locked\nstruck start.locked kill\nreached before zfs clone\n')
    tally.take(file)
    await appendFile(file, 'struck before zfs clone throw\nstruck after zfs clone delay\nreached before zfs list\n')
    tally.take(file)
    expect([tally.inside, tally.throws, tally.delays]).toEqual([1, 1, 1])
    expect(tally.unproven).not.toContain('start.locked')
    expect(tally.unproven).toContain('before zfs clone')
    expect(tally.unreached).not.toContain('before zfs clone')
    // Rare, and no omission.
    expect(tally.unlisted).toEqual([])
    await appendFile(file, 'reached a place that nobody listed\n')
    tally.take(file)
    expect(tally.unlisted).toEqual(['a place that nobody listed'])
  } finally {
    await rm(directory, { recursive: true })
  }
})

test.each([
  [34, 66, false],
  [40, 80, true],
  [20, 180, true],
  [3, 96, false],
])('of many kills, more than a third come from outside: %d beside %d', (outside, inside, isLopsided) => {
  expect(Object.assign(new Tally('btrfs'), { outside, inside }).isLopsided).toBe(isLopsided)
})

test('a kill at a quiet moment is none', () => {
  const tally = new Tally('btrfs')
  tally.quiet = 3
  expect([tally.kills, tally.outsidePercent]).toEqual([0, 0])
  tally.outside = 2
  tally.inside = 4
  expect(tally.kills).toBe(6)
  expect(String(tally)).toMatch(/^6 kills \(2, or 33 %, from outside; 3 at quiet moments not counted\)/)
})
