import { expect, test } from 'vitest'
import { Demand } from './demand.ts'

test('the peak is the most that were asked for within two seconds', () => {
  const demand = new Demand()
  for (const time of [0, 100, 1999, 2500, 10_000]) demand.note(time)
  expect(demand.peak(10_001)).toBe(3)
})

test('what was asked for more than ten minutes ago is forgotten', () => {
  const demand = new Demand()
  for (const time of [0, 1, 2, 300_000]) demand.note(time)
  expect(demand.peak(599_999)).toBe(3)
  expect(demand.peak(600_002)).toBe(1)
  expect(demand.peak(900_000)).toBe(0)
})

test('a demand without end is remembered by its last thousand', () => {
  const demand = new Demand()
  for (let time = 0; time < 5000; time++) demand.note(time / 1000)
  expect(demand.peak(5)).toBe(1000)
})
