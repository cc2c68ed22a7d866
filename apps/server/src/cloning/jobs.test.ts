import { setImmediate as turn } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { Jobs } from './jobs.ts'

test('a place that is given back twice is given back once', () => {
  const jobs = new Jobs({ concurrency: 1, queue: 1 }, () => {})
  const first = jobs.reserve()
  jobs.reserve()
  expect(() => jobs.reserve()).toThrow('2 operations run or wait already')
  first[Symbol.dispose]()
  first[Symbol.dispose]()
  jobs.reserve()
  expect(() => jobs.reserve()).toThrow('2 operations run or wait already')
})

test('all who wait have the place that each of them has', async () => {
  const jobs = new Jobs({ concurrency: 1, queue: 9 }, () => {})
  const ends = ['runs', 'next', 'last'].map((key) => {
    const { promise, resolve } = Promise.withResolvers<void>()
    void jobs.add(key, () => promise)
    return resolve
  })
  await turn()
  const placesOf = (...keys: string[]) => keys.map((key) => [jobs.position(key), jobs.positions().get(key) ?? 0])
  expect(placesOf('runs', 'next', 'last', 'none')).toEqual([
    [0, 0],
    [1, 1],
    [2, 2],
    [0, 0],
  ])
  ends[0]?.()
  await turn()
  expect(placesOf('next', 'last')).toEqual([
    [0, 0],
    [1, 1],
  ])
})
