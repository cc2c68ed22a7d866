import { expect, test } from 'vitest'
import { inTurns } from './in-turns.ts'

test('the sides take turns, every other time from the other end, and what they did to warm up does not count', async () => {
  const order: string[] = []
  let number = 0
  const side = (name: string) => async () => {
    order.push(name)
    return ++number
  }
  const given = await inTurns(2, { a: side('a'), b: side('b') }, 1)
  expect(order.join('')).toBe('baabba')
  expect(given).toEqual({ a: [3, 6], b: [4, 5] })
})

test('what a side throws ends it', async () => {
  const sides = { a: () => Promise.reject(new Error('no')) }
  await expect(inTurns(1, sides)).rejects.toThrow('no')
})
