import { setTimeout as delay } from 'node:timers/promises'
import { expect, test, vi } from 'vitest'
import { Strike } from './strike.ts'

test('comes once, at its time', async () => {
  const kill = vi.fn(() => true)
  using strike = new Strike({ from: 'outside', afterMs: 20 }, kill)
  expect([strike.isToCome, strike.hasStruck]).toEqual([true, false])
  await vi.waitFor(() => expect(kill).toHaveBeenCalledOnce())
  expect([strike.isToCome, strike.hasStruck]).toEqual([false, true])
})

test('has struck nothing where nothing was left to kill', async () => {
  using strike = new Strike({ from: 'outside', afterMs: 1 }, () => false)
  await vi.waitFor(() => expect(strike.isToCome).toBe(false))
  expect(strike.hasStruck).toBe(false)
})

test('does not come after the end of its round, nor for a blow from inside', async () => {
  const kill = vi.fn(() => true)
  {
    using _late = new Strike({ from: 'outside', afterMs: 20 }, kill)
    using inside = new Strike({ from: 'inside', point: 'start.locked', action: 'kill', skip: 0 }, kill)
    expect(inside.isToCome).toBe(false)
  }
  await delay(60)
  expect(kill).not.toHaveBeenCalled()
})
