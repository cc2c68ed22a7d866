import { setTimeout as delay } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { watch } from './watch.ts'

test('a look that takes longer than the time between two is the last one where the work has ended meanwhile', async () => {
  let looks = 0
  const watched = watch(2, async () => {
    looks++
    await delay(60)
  })
  await delay(30)
  await watched[Symbol.asyncDispose]()
  expect(looks).toBe(1)
})

test('looks go on though one has failed', async () => {
  let looks = 0
  const watched = watch(1, async () => {
    looks++
    throw new Error('it could not be seen')
  })
  await expect.poll(() => looks).toBeGreaterThan(2)
  await watched[Symbol.asyncDispose]()
})
