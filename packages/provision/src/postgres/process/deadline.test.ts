import { setTimeout as sleep } from 'node:timers/promises'
import { expect, onTestFinished, test, vi } from 'vitest'
import type { RecoveryProgress } from '../runtime.ts'
import { progressDeadline, type Signs } from './deadline.ts'

test('what gets on is given time, and what does not is given up', async () => {
  vi.useFakeTimers()
  onTestFinished(() => void vi.useRealTimers())
  let signs: Signs = {}
  const told: RecoveryProgress[] = []
  using deadline = progressDeadline(
    2000,
    async () => signs,
    (progress) => told.push(progress),
  )
  const steps: Signs[] = [{ step: 'redo starts' }, { walFile: 'A' }, { walFile: 'B' }, { walFile: 'B', lsn: '0/1' }]
  for (const step of steps) {
    signs = step
    await vi.advanceTimersByTimeAsync(1500)
  }
  expect(deadline.signal.aborted).toBe(false)
  await vi.advanceTimersByTimeAsync(3000)
  expect(deadline.signal.aborted).toBe(true)
  expect(told).toEqual([{ walFile: 'A' }, { walFile: 'B' }, { walFile: 'B', lsn: '0/1' }])
})

test('what can not be looked at is given up at once, with the reason', async () => {
  const reason = new Error('no such directory')
  using deadline = progressDeadline(60_000, () => Promise.reject(reason))
  while (!deadline.signal.aborted) await sleep(50)
  expect(deadline.signal.reason).toBe(reason)
})
