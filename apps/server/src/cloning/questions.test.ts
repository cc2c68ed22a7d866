import { expect, test } from 'vitest'
import { Questions } from './questions.ts'

const named = (count: number) => Array.from({ length: count }, (_, n) => `c${n}`)

test('a few are asked every 25 seconds each', () => {
  const questions = new Questions()
  const asked = [0, 1000, 24_999, 25_000, 49_999, 50_000].map((now) => questions.next(named(3), now))
  expect(asked).toEqual([named(3), [], [], named(3), [], named(3)])
})

test('of hundreds never more than five at once, and each in its turn', () => {
  const questions = new Questions()
  const ids = named(500)
  for (let round = 0; round < 3; round++) {
    const asked = Array.from({ length: 100 }, (_, second) => questions.next(ids, (round * 100 + second) * 1000))
    expect(Math.max(...asked.map(({ length }) => length))).toBe(5)
    expect(asked.flat()).toEqual(ids)
  }
})

test('one that is new comes before those that were asked, and what is gone is forgotten', () => {
  const questions = new Questions()
  questions.next(named(5), 0)
  expect(questions.next([...named(5), 'new'], 25_000)).toEqual(['new', 'c0', 'c1', 'c2', 'c3'])
  questions.next([], 25_001)
  expect(questions.next(['c0'], 25_002)).toEqual(['c0'])
})
