import { expect, test } from 'vitest'
import { shareOut } from './warm-pool.ts'

test('where there is enough, everybody gets what is wanted', () => {
  expect(
    shareOut(
      10,
      new Map([
        ['dev', 3],
        ['test', 2],
      ]),
    ),
  ).toEqual(
    new Map([
      ['dev', 3],
      ['test', 2],
    ]),
  )
})

test('where there is too little, nobody is left out for the sake of who wants much', () => {
  expect(
    shareOut(
      4,
      new Map([
        ['dev', 8],
        ['test', 2],
      ]),
    ),
  ).toEqual(
    new Map([
      ['dev', 2],
      ['test', 2],
    ]),
  )
  expect(
    shareOut(
      1,
      new Map([
        ['dev', 8],
        ['test', 2],
      ]),
    ),
  ).toEqual(
    new Map([
      ['dev', 1],
      ['test', 0],
    ]),
  )
})
