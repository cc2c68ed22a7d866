import type { Warning } from '@dblab/models'
import { describe, expect, test } from 'vitest'
import { checkNothingLeft, checkWarnings } from './aftermath.ts'

const warning = (code: Warning['code'], message: string): Warning => ({ code, message, hint: '' })
const LITTLE_SPACE = warning('DISK_SPACE_LOW', '9.0 % of the pool is free')

describe('what the server warns of in peace', () => {
  test('is the machine, if anything', () => {
    checkWarnings([])
    checkWarnings([LITTLE_SPACE, warning('LIMIT_NOT_ENFORCED', 'clones.diskQuota is not enforced')])
  })

  test.each(['snapshot ann-s1 is missing in the pool', 'volume v is not in the catalogue, and was left alone'])(
    'is nothing that is out of order: %s',
    (message) => {
      const warnings = [LITTLE_SPACE, warning('RECONCILE_FAILED', message)]
      expect(() => checkWarnings(warnings)).toThrow(`LOST: the server warns in peace of\nRECONCILE_FAILED: ${message}`)
    },
  )

  test('is nothing that does not work', () => {
    expect(() => checkWarnings([warning('AUDIT_LOG_FAILED', 'it is full')])).toThrow('WRONG: ')
  })
})

describe('after the clients have deleted all that they had', () => {
  const left = (clones: string[], snapshots: string[]) =>
    checkNothingLeft(
      clones.map((id) => ({ id })),
      snapshots.map((id) => ({ id })),
      ['ann', 'ben'],
    )

  test("the lab's own snapshots are there", () => {
    left([], ['20260101000000', '20260102000000'])
  })

  test('no clone is, be it whose it may', () => {
    expect(() => left(['ben-a'], [])).toThrow('WRONG: clone ben-a was deleted, and is listed')
    expect(() => left(['newborn'], [])).toThrow("ORPHANED: clone newborn is nobody's, and is listed")
  })

  test('no snapshot of theirs is', () => {
    expect(() => left([], ['20260101000000', 'ann-s12'])).toThrow('WRONG: snapshot ann-s12 was deleted, and is listed')
  })
})
