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
