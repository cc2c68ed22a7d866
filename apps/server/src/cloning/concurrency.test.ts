import { expect, test } from 'vitest'
import { automaticConcurrency } from './concurrency.ts'

test('twice as many run at the same time as there are processors, up to what the server can see to', () => {
  expect([1, 2, 3, 4, 8, 64].map(automaticConcurrency)).toEqual([2, 4, 6, 8, 16, 16])
})

test('there are two at least, on this machine too', () => {
  expect(automaticConcurrency()).toBeGreaterThanOrEqual(2)
})
