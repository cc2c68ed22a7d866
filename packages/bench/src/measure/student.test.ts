import { expect, test } from 'vitest'
import { studentQuantile } from './student.ts'

test('the fewer samples, the wider the interval', () => {
  expect(studentQuantile(1)).toBe(12.706)
  expect(studentQuantile(4)).toBe(2.776)
  expect(studentQuantile(30)).toBe(2.042)
  expect(studentQuantile(1000)).toBe(2.042)
})

test('one sample has no interval', () => {
  expect(() => studentQuantile(0)).toThrow(RangeError)
  expect(() => studentQuantile(Number.NaN)).toThrow(RangeError)
})
