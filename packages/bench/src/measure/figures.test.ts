import { expect, test } from 'vitest'
import { figuresOf } from './figures.ts'

const upTo = (last: number) => Array.from({ length: last }, (_, index) => index + 1)

test('a percentile is the least of the samples that so many runs did not exceed', () => {
  expect(figuresOf(upTo(100))).toEqual({ p50: 50, p95: 95, p99: 99, min: 1, runs: 100 })
  expect(figuresOf(upTo(30))).toEqual({ p50: 15, p95: 29, p99: 30, min: 1, runs: 30 })
  expect(figuresOf(upTo(5))).toEqual({ p50: 3, p95: 5, p99: 5, min: 1, runs: 5 })
})

test('samples count by their size, in whatever order they came, which stays', () => {
  const samples = [10, 9, 100, 2]
  expect(figuresOf(samples)).toEqual({ p50: 9, p95: 100, p99: 100, min: 2, runs: 4 })
  expect(samples).toEqual([10, 9, 100, 2])
})

test('of a single run every figure is its sample', () => {
  expect(figuresOf([7.5])).toEqual({ p50: 7.5, p95: 7.5, p99: 7.5, min: 7.5, runs: 1 })
})
