import type { Clone } from '@dblab/models'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { cloneRow } from '../../test/support/rows.ts'
import { LabError } from '../errors.ts'
import { pageOf } from './paging.ts'
import { toClone } from './view.ts'

function clone(number: number, createdAt = cloneRow(number).createdAt): Clone {
  const now = { starting: false, down: undefined, queuePosition: 0, diskQuota: undefined }
  return toClone(cloneRow(number, { createdAt }), { publicHost: 'lab', tls: false }, now)
}

const some = [1, 2, 3, 4, 5].map((number) => clone(number))

test('without a limit it is the whole list, and there is no next page', () => {
  expect(pageOf(some, {})).toEqual({ clones: some, next: undefined })
  expect(pageOf([], { limit: 1 })).toEqual({ clones: [], next: undefined })
})

test('each page goes on behind the one before, and the last has no next, full or not', () => {
  const first = pageOf(some, { limit: 3 })
  expect(first.clones).toEqual(some.slice(0, 3))
  expect(pageOf(some, { limit: 3, after: first.next })).toEqual({ clones: some.slice(3), next: undefined })
  expect(pageOf(some, { limit: 2, after: first.next }).next).toBeUndefined()
  expect(pageOf(some, { after: first.next }).clones).toEqual(some.slice(3))
})

test('of clones that were made in one moment none is left out, and none comes twice', () => {
  const alike = [1, 2, 3, 4, 5].map((number) => clone(number, '2026-01-31T12:00:00.000Z'))
  const first = pageOf(alike, { limit: 2 })
  const second = pageOf(alike, { limit: 2, after: first.next })
  const third = pageOf(alike, { limit: 2, after: second.next })
  expect([...first.clones, ...second.clones, ...third.clones]).toEqual(alike)
})

test('it goes on behind a clone that is gone', () => {
  const { next } = pageOf(some, { limit: 2 })
  expect(pageOf(some.slice(2), { after: next }).clones).toEqual(some.slice(2))
})

test('each clone that is there all the time is on one page, whatever is made and deleted between them', () => {
  const changes = fc.array(fc.record({ gone: fc.nat(19), made: fc.nat(3) }), { minLength: 1, maxLength: 12 })
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 7 }), changes, (limit, between) => {
      let list = Array.from({ length: 20 }, (_, number) => clone(number))
      let newest = 20
      const stayed = new Set(list.map(({ id }) => id))
      const seen: string[] = []
      let after: string | undefined
      do {
        const page = pageOf(list, { limit, after })
        seen.push(...page.clones.map(({ id }) => id))
        after = page.next
        const { gone, made } = between.shift() ?? { gone: 99, made: 0 }
        stayed.delete(cloneRow(gone).id)
        list = list.filter(({ id }) => id !== cloneRow(gone).id)
        for (let number = 0; number < made; number++) list.push(clone(newest++))
      } while (after !== undefined)
      expect(new Set(seen).size).toBe(seen.length)
      expect(seen).toEqual(seen.toSorted())
      expect([...stayed].filter((id) => !seen.includes(id))).toEqual([])
    }),
  )
})

describe('an after that no page had', () => {
  test.each(['', 'nope', cloneRow(1).id, '*', 'ä', Buffer.from('clone-1').toString('base64url')])('%j', (after) => {
    expect(() => pageOf(some, { after })).toThrow(
      new LabError('INVALID_REQUEST', 'after: must be as the Link header of the page before has it'),
    )
  })
})
