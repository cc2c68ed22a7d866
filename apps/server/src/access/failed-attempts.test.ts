import type { Request, Response } from 'express'
import { describe, expect, test } from 'vitest'
import { addressOf, FailedAttempts } from './failed-attempts.ts'

const from = (ip: string | undefined) => ({ ip }) as Request
const response = {} as Response

describe('failed attempts', () => {
  test('are counted for each address', async () => {
    const attempts = new FailedAttempts(2)
    for (let n = 0; n < 2; n++) await attempts.count(from('10.0.0.1'), response)
    await expect(attempts.count(from('10.0.0.1'), response)).rejects.toMatchObject({
      code: 'TOO_MANY_ATTEMPTS',
      retryAfterSeconds: expect.toSatisfy((seconds: number) => seconds > 0 && seconds <= 60),
    })
    await attempts.count(from('10.0.0.2'), response)
  })

  test('are counted for the whole /64 of an address of IPv6, and for IPv4 however it is written', async () => {
    const attempts = new FailedAttempts(1)
    await attempts.count(from('2001:db8:1:2::1'), response)
    await expect(attempts.count(from('2001:db8:1:2:ffff::9'), response)).rejects.toThrow('too many')
    await attempts.count(from('2001:db8:1:3::1'), response)
    await attempts.count(from('::ffff:10.0.0.1'), response)
    await expect(attempts.count(from('10.0.0.1'), response)).rejects.toThrow('too many')
  })

  test('of whoever says no address are counted together', async () => {
    const attempts = new FailedAttempts(1)
    await attempts.count(from(undefined), response)
    await expect(attempts.count(from('no <address> at all'), response)).rejects.toThrow('too many')
  })
})

test('an address is one, whatever a proxy says', () => {
  expect(['::ffff:10.0.0.1', '2001:db8::1', 'canary', undefined].map((ip) => addressOf({ ip }))).toEqual([
    '10.0.0.1',
    '2001:db8::1',
    'unknown',
    'unknown',
  ])
})
