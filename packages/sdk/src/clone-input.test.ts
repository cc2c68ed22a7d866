import { describe, expect, it } from 'vitest'
import { toCreateRequest, toUpdateRequest } from './clone-input.ts'

describe('a request for a clone', () => {
  it('has a login where the caller names none, with another password each time', () => {
    const [one, two] = [toCreateRequest({}), toCreateRequest({})]
    expect(one).toEqual({ db: { username: 'clone', password: expect.stringMatching(/^[0-9a-f]{40}$/) } })
    expect(two.db.password).not.toBe(one.db.password)
  })

  it("has the caller's login as it is", () => {
    const db = { username: 'Ann', password: 'pä$$', dbName: 'shop' }
    expect(toCreateRequest({ db, project: 'p' })).toEqual({ db, project: 'p' })
  })

  it.each([
    ['90s', 90],
    ['30m', 1800],
    ['2h', 7200],
    ['7d', 604_800],
    ['1w', 604_800],
  ])('turns a ttl of %s into a time', (ttl, seconds) => {
    const { deleteAt = '', ...rest } = toCreateRequest({ ttl })
    expect(Math.abs(Date.parse(deleteAt) - Date.now() - seconds * 1000)).toBeLessThan(1000)
    expect(Object.keys(rest)).toEqual(['db'])
  })

  it.each(['', '2', 'h', '0h', '-1h', '1.5h', '1h30m', ' 2h', '2 hours', `${'9'.repeat(20)}d`])(
    'refuses "%s" as a ttl',
    (ttl) => {
      expect(() => toCreateRequest({ ttl })).toThrow(TypeError)
    },
  )

  it('takes a time as a date or as a text', () => {
    const deleteAt = '2026-01-31T12:00:00.000Z'
    expect(toCreateRequest({ deleteAt: new Date(deleteAt) })).toMatchObject({ deleteAt })
    expect(toCreateRequest({ deleteAt: '2026-01-31' })).toMatchObject({ deleteAt: '2026-01-31' })
    expect(() => toCreateRequest({ deleteAt: new Date(Number.NaN) })).toThrow(TypeError)
    expect(() => toCreateRequest({ deleteAt, ttl: '2h' })).toThrow('not both')
  })
})

describe('a request for a change', () => {
  it('has only what is to change', () => {
    expect(toUpdateRequest({})).toEqual({})
    expect(toUpdateRequest({ name: 'n', protected: true })).toEqual({ name: 'n', protected: true })
    expect(toUpdateRequest({ deleteAt: null })).toEqual({ deleteAt: null })
    expect(toUpdateRequest({ ttl: '2h' }).deleteAt).toMatch(/Z$/)
    expect(() => toUpdateRequest({ deleteAt: null, ttl: '2h' })).toThrow('not both')
  })
})
