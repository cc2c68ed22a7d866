import { expect, test } from 'vitest'
import { Rate } from './rate.ts'

test('the rate is that of the last half minute, and says what is left', () => {
  const rate = new Rate()
  expect(rate.of(0, 1000, 0)).toEqual({ bytesPerSecond: 0, secondsLeft: 0 })
  expect(rate.of(100, 1000, 10_000)).toEqual({ bytesPerSecond: 10, secondsLeft: 90 })
  // A minute later the first ten seconds don't count any more.
  expect(rate.of(100, 1000, 40_000)).toEqual({ bytesPerSecond: 0, secondsLeft: 0 })
  expect(rate.of(400, 1000, 70_000)).toEqual({ bytesPerSecond: 10, secondsLeft: 60 })
})

test('a step that goes back, or past its estimate, has no negative rate and no negative rest', () => {
  const rate = new Rate()
  rate.of(500, 1000, 0)
  expect(rate.of(0, 1000, 1000)).toEqual({ bytesPerSecond: 0, secondsLeft: 0 })
  expect(rate.of(2000, 1000, 2000).secondsLeft).toBe(0)
})
