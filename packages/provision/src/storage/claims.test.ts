import { expect, test } from 'vitest'
import { Claims } from './claims.ts'

const inUse = expect.objectContaining({ code: 'IN_USE' })

test('what is shared can be shared again but not excluded, until the last one lets go', () => {
  const claims = new Claims()
  const first = claims.share('a')
  const second = claims.share('a')
  expect(() => claims.exclude('a')).toThrow(inUse)
  first[Symbol.dispose]()
  expect(() => claims.exclude('a')).toThrow(inUse)
  second[Symbol.dispose]()
  expect(() => claims.exclude('a')).not.toThrow()
})

test('what is excluded can be neither shared nor excluded again; other names are free', () => {
  const claims = new Claims()
  const claim = claims.exclude('a')
  expect(() => claims.share('a')).toThrow(inUse)
  expect(() => claims.exclude('a')).toThrow(inUse)
  expect(() => claims.share('b')).not.toThrow()
  claim[Symbol.dispose]()
  expect(() => claims.share('a')).not.toThrow()
})
