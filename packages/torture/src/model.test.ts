import { describe, expect, test } from 'vitest'
import { CloneModel, NO_ROWS, type Rows } from './model.ts'

const seen = (resetFailedAt = '') => ({ protected: false, resetFailedAt })
const only = (...rows: number[]): Rows => ({ must: new Set(rows), may: new Set(rows) })

function withRows(): CloneModel {
  const clone = new CloneModel('c')
  clone.asked(NO_ROWS)
  clone.sent([1, 2])
  clone.acknowledged([1])
  return clone
}

describe('what a clone may hold', () => {
  test.each([[[1]], [[1, 2]]])('is what was acknowledged, and what was sent: %j', (rows) => {
    withRows().see(new Set(rows), seen())
  })

  test.each([[[]], [[2]], [[1, 3]]])('is neither less nor more: %j', (rows) => {
    expect(() => withRows().see(new Set(rows), seen())).toThrow('LOST: clone c holds')
  })

  test('is either of two while the answer to a reset never came', () => {
    for (const rows of [[1], [7]]) {
      const clone = withRows()
      clone.resetTo(only(7))
      clone.see(new Set(rows), seen())
      expect(clone.data).toEqual([only(...rows)])
    }
  })

  test('is what it was after a reset that failed, and nothing else, however often it is looked at', () => {
    const clone = withRows()
    clone.resetTo(only(7))
    clone.promised = only(7)
    clone.resetFailed('2026-01-01T00:00:00Z')
    expect(clone.promised).toBeUndefined()
    expect(() => clone.see(new Set([7]), seen())).toThrow('LOST')
    clone.see(new Set([1, 2]), seen('2026-01-01T00:00:00Z'))
    expect(clone.resetFailedAt).toBe('2026-01-01T00:00:00Z')
  })
})

describe('a clone that the server has', () => {
  test('is one that was asked for, whether that was answered or not', () => {
    const clone = withRows()
    clone.found()
    clone.presence = 'present'
    clone.found()
  })

  test('is none that was never asked for, or is gone', () => {
    expect(() => new CloneModel('c').found()).toThrow('WRONG: clone c was deleted, and is there')
    const clone = withRows()
    clone.gone()
    expect(() => clone.found()).toThrow('WRONG')
  })
})
