import { COMMON_POINTS, DRIVER_POINTS } from '@dblab/provision'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { histories, kindFor } from './history.ts'

const POINTS = [...COMMON_POINTS, ...DRIVER_POINTS.btrfs]

test('a third of the blows come from outside, at any time', () => {
  const rounds = fc.sample(histories(POINTS, POINTS, 4000), { numRuns: 300, seed: 1 }).flat()
  const times = rounds.flatMap(({ blow }) => (blow.from === 'outside' ? [blow.afterMs] : []))
  expect(times.length / rounds.length).toBeGreaterThan(1 / 3)
  expect(Math.min(...times)).toBeLessThan(200)
  expect(Math.max(...times)).toBeGreaterThan(3800)
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

test.each([
  ['pool.formatted', 'birth'],
  ['destroy.begun', 'death'],
  ['before zfs mount', 'restart'],
  ['restart.settled', 'restart'],
  ['after umount', 'stop'],
  ['before btrfs quota rescan', 'grow'],
  ['import.filled', 'import'],
  ['create.promised', 'serve'],
])('what strikes at "%s" does so in a round that comes to it: %s', (point, kind) => {
  expect(kindFor(point)).toBe(kind)
})
