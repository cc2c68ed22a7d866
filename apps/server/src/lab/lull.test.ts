import { expect, test } from 'vitest'
import { Lull } from './lull.ts'

test('where nobody has asked for anything, a chore begins at once', async () => {
  const begun = performance.now()
  await new Lull().arrival()
  expect(performance.now() - begun).toBeLessThan(100)
})

test('a chore waits until nobody has asked for anything for a moment', async () => {
  const lull = new Lull()
  lull.disturb()
  const asking = setInterval(() => lull.disturb(), 50)
  setTimeout(() => clearInterval(asking), 400)
  const begun = performance.now()
  await lull.arrival()
  expect(performance.now() - begun).toBeGreaterThan(600)
})

test('an abort ends the wait', async () => {
  const lull = new Lull()
  lull.disturb()
  await expect(lull.arrival(AbortSignal.abort())).rejects.toMatchObject({ name: 'AbortError' })
})
