import { describe, expect, test } from 'vitest'
import { mayRefuseSnapshot } from './client.ts'

const PEACE = { failuresAllowed: false }
const FAILURES = { failuresAllowed: true }
const busy = { status: 503, code: 'TOO_BUSY' }
const unavailable = { status: 503, code: 'STORAGE_UNAVAILABLE' }

describe('a snapshot may be refused', () => {
  test('for too much work at once, at any time', () => {
    expect([mayRefuseSnapshot(busy, PEACE), mayRefuseSnapshot(busy, FAILURES)]).toEqual([true, true])
  })

  test.each([unavailable, { status: 409, code: 'CLONE_NOT_READY' }, { status: 500, code: 'INTERNAL_ERROR' }])(
    'for $code where a step was made to fail, and not else',
    (answer) => {
      expect([mayRefuseSnapshot(answer, PEACE), mayRefuseSnapshot(answer, FAILURES)]).toEqual([false, true])
    },
  )

  test('for a lost catalogue never', () => {
    expect(mayRefuseSnapshot({ status: 503, code: 'CATALOGUE_UNREADABLE' }, FAILURES)).toBe(false)
  })
})
