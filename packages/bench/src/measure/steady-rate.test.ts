import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { atSteadyRate } from './steady-rate.ts'

test('requests begin at their time, and not after the one before', async () => {
  const began: number[] = []
  const started = performance.now()
  const times = await atSteadyRate({ perSecond: 50, seconds: 0.1 }, async () => {
    began.push(performance.now() - started)
    await sleep(100)
  })
  expect(times).toHaveLength(5)
  // Each timer may be early by a millisecond.
  expect(began.at(-1)).toBeGreaterThanOrEqual(78)
  expect(Math.min(...times)).toBeGreaterThanOrEqual(98)
  expect(performance.now() - started).toBeLessThan(5 * 100)
})

test('a request that fails fails all', async () => {
  const failing = (number: number) => (number === 1 ? Promise.reject(new Error('no')) : Promise.resolve())
  await expect(atSteadyRate({ perSecond: 100, seconds: 0.03 }, failing)).rejects.toThrow('no')
})
