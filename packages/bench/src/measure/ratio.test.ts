import { expect, test } from 'vitest'
import { pairedRatio } from './ratio.ts'

test('the ratio of paired samples is that of their medians, with an interval around the mean of the pairs', () => {
  const ratio = pairedRatio([20, 22, 18, 21], [10, 10, 10, 10])
  expect(ratio?.p50).toBe(2)
  // Worked out by hand: logarithms 0.6931, 0.7885, 0.5878, 0.7419, their mean 0.7028, deviation 0.0862, t of three degrees 3.182.
  expect(ratio?.mean).toBeCloseTo(2.0195, 3)
  expect(ratio?.low).toBeCloseTo(Math.exp(0.7028 - (3.182 * 0.0862) / 2), 2)
  expect(ratio?.high).toBeCloseTo(Math.exp(0.7028 + (3.182 * 0.0862) / 2), 2)
})

test('what hits both of a pair alike makes no interval', () => {
  const ratio = pairedRatio([2, 20, 200], [1, 10, 100])
  expect(ratio?.low).toBeCloseTo(2, 9)
  expect(ratio?.high).toBeCloseTo(2, 9)
})

test('twice as slow once and twice as fast once is even', () => {
  expect(pairedRatio([2, 1], [1, 2])?.mean).toBeCloseTo(1, 9)
})

test('an interval shrinks with the number of runs', () => {
  const width = (runs: number) => {
    const ratio = pairedRatio(
      Array.from({ length: runs }, (_, index) => 10 + (index % 3)),
      Array(runs).fill(10),
    )
    return (ratio?.high ?? 0) - (ratio?.low ?? 0)
  }
  expect(width(6)).toBeGreaterThan(width(30))
  expect(width(30)).toBeGreaterThan(width(300))
})

test('a single pair has a ratio, of which no spread is known', () => {
  expect(pairedRatio([3], [2])).toEqual({ p50: 1.5, mean: 1.5, low: 1.5, high: 1.5 })
})

test('there is no ratio to nothing, and none of samples that are not paired', () => {
  expect(pairedRatio([1, 0], [1, 1])).toBeUndefined()
  expect(pairedRatio([1, 1], [1, 0])).toBeUndefined()
  expect(() => pairedRatio([1, 2], [1])).toThrow(RangeError)
  expect(() => pairedRatio([], [])).toThrow(RangeError)
})
