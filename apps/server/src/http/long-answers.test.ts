import { expect, test } from 'vitest'
import { LongAnswers } from './long-answers.ts'

const LONG = Array.from({ length: 2000 }, (_, number) => ({ id: `clöne ${number}` }))

test('an answer is what JSON makes of it, long or short', () => {
  const answers = new LongAnswers()
  for (const body of [LONG, [], LONG[0]]) {
    for (const _again of [1, 2]) {
      expect(String(answers.bytesOf(body, JSON.stringify(body).slice(0, 30)))).toBe(JSON.stringify(body))
    }
  }
})

test('a long one is made once for a tag, and anew for another', () => {
  const answers = new LongAnswers()
  const first = answers.bytesOf(LONG, 'a')
  expect(answers.bytesOf([...LONG], 'a')).toBe(first)
  expect(answers.bytesOf(LONG.slice(1), 'b').length).toBeLessThan(first.length)
})

test('only those that were asked for last are kept', () => {
  const answers = new LongAnswers()
  const [asked, forgotten] = [answers.bytesOf(LONG, 'asked'), answers.bytesOf(LONG, 'forgotten')]
  for (const tag of ['a', 'b', 'c']) {
    answers.bytesOf(LONG, tag)
    answers.bytesOf(LONG, 'asked')
  }
  expect(answers.bytesOf(LONG, 'asked')).toBe(asked)
  expect(answers.bytesOf(LONG, 'forgotten')).not.toBe(forgotten)
})
