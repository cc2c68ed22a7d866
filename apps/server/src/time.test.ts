import { expect, test } from 'vitest'
import { parseTime, toMilliseconds } from './time.ts'

test.each([
  ['2026-01-31', '2026-01-31T00:00:00.000Z'],
  ['2026-01-31T12:00', '2026-01-31T12:00:00.000Z'],
  ['2026-01-31 12:00:00.5+02:00', '2026-01-31T10:00:00.500Z'],
  ['9999-12-31T23:59:59Z', '9999-12-31T23:59:59.000Z'],
])('reads %s', (text, time) => {
  expect(parseTime(text)).toBe(time)
})

test.each(['', 'tomorrow', '2026-02-31', '2026-13-01', '9999-12-31T23:59:59-05:00', '0000-01-01T00:00:00+05:00'])(
  'does not take %s for a time',
  (text) => {
    expect(parseTime(text)).toBeUndefined()
  },
)

test('a deadline of any length is one that Node takes', () => {
  expect([60, 1.0015, 0.0001].map(toMilliseconds)).toEqual([60_000, 1002, 1])
})
