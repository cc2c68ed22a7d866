import { COMMON_POINTS, DRIVER_POINTS } from '@dblab/provision'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { histories, kindFor, type RoundKind } from './history.ts'

const POINTS = [...COMMON_POINTS, ...DRIVER_POINTS.btrfs]

test('more than a third of the blows come from outside, at any time', () => {
  const rounds = fc.sample(histories(POINTS, POINTS, 4000), { numRuns: 300, seed: 1 }).flat()
  const times = rounds.flatMap(({ blow }) => (blow.from === 'outside' ? [blow.afterMs] : []))
  expect(times.length / rounds.length).toBeGreaterThan(0.38)
  const early = times.filter((afterMs) => afterMs < 1300).length / times.length
  expect(Math.min(...times)).toBeGreaterThanOrEqual(400)
  expect(early).toBeGreaterThan(0.25)
  expect(early).toBeLessThan(0.5)
  expect(Math.max(...times)).toBeGreaterThan(3800)
})

test('a command that ends soon by itself is struck soon', () => {
  const rounds = fc.sample(histories(POINTS, POINTS, 3000), { numRuns: 300, seed: 1 }).flat()
  const latest = (kind: RoundKind) =>
    Math.max(...rounds.flatMap(({ kind: of, blow }) => (of === kind && blow.from === 'outside' ? [blow.afterMs] : [])))
  expect(latest('stop')).toBeLessThanOrEqual(1000)
  expect(latest('serve')).toBeGreaterThan(2500)
})

test('points at which nothing was killed so far come first, and all others later', () => {
  const unproven = ['start.locked']
  const aimedAt = (left: readonly string[]) =>
    fc
      .sample(histories(POINTS, left, 4000), { numRuns: 300, seed: 1 })
      .flat()
      .flatMap(({ blow }) => (blow.from === 'inside' && blow.action === 'kill' ? [blow.point] : []))
  const first = aimedAt(unproven)
  expect(first.filter((point) => point === 'start.locked').length / first.length).toBeGreaterThan(0.8)
  expect(new Set(aimedAt([]))).toEqual(new Set(POINTS))
})

// Whatever is not here strikes while clients are at work, which comes to all that they can cause and to what every start does.
test('what strikes at a point does so in a round that comes to it', () => {
  const all = [...new Set([...COMMON_POINTS, ...Object.values(DRIVER_POINTS).flat()])]
  const of = Object.groupBy(all, kindFor)
  const around = (...commands: string[]) => commands.flatMap((each) => [`before ${each}`, `after ${each}`])
  const startingWith = (word: string) => all.filter((point) => point.startsWith(word))
  const same = (found: string[] | undefined, wanted: string[]) => expect(new Set(found)).toEqual(new Set(wanted))
  same(of.stop, around('umount', 'losetup --detach'))
  const quotas = around('btrfs quota enable', 'btrfs quota disable', 'btrfs quota rescan')
  same(of.grow, ['pool.file-grown', ...around('btrfs filesystem resize', 'losetup --set-capacity'), ...quotas])
  const made = ['pool.file-made', 'pool.formatted', 'pool.linked', 'start.storage-noted', 'start.catalogue-made']
  same(of.birth, ['storage.root-made', ...made, ...around('mkfs.btrfs')])
  const attached = ['pool.attached', 'pool.mounted', ...around('losetup --find', 'mount', 'zfs mount')]
  same(of.restart, [...startingWith('restart.'), ...attached])
  same(of.import, [...startingWith('import.'), ...around('btrfs subvolume create', 'zfs create', 'zfs set')])
  same(of.death, startingWith('destroy.'))
  for (const word of [
    'create.',
    'reset.',
    'delete.',
    'snapshot',
    'garbage.',
    'postgres.',
    'shelf.',
    'before zfs clone',
  ])
    expect(of.serve).toEqual(expect.arrayContaining(startingWith(word)))
})
