import { expect, test } from 'vitest'
import { connectionText, describeAddress, parseSourceUrl } from './address.ts'

test('an address is read as libpq reads it, with its defaults', () => {
  expect(parseSourceUrl('postgres://dump@db.example.com/shop')).toEqual({
    ...{
      host: 'db.example.com',
      port: 5432,
      user: 'dump',
      database: 'shop',
      sslMode: 'prefer',
      sslRootCert: undefined,
    },
  })
  expect(parseSourceUrl('postgresql://a%40b@[::1]:6000/x%2Fy?sslmode=require')).toMatchObject({
    ...{ host: '::1', port: 6000, user: 'a@b', database: 'x/y', sslMode: 'require' },
  })
  expect(parseSourceUrl('postgresql:///shop?host=/run/postgresql&user=eve&port=5433')).toMatchObject({
    ...{ host: '/run/postgresql', port: 5433, user: 'eve', database: 'shop' },
  })
  expect(parseSourceUrl('postgresql://eve@localhost').database).toBe('eve')
})

test.each([
  ['mysql://a@b/c', 'is no postgresql:// URI'],
  ['host=a user=b', 'is no postgresql:// URI'],
  ['postgres://a:hunter2@b/c', 'holds a password'],
  ['postgres://a@b/c?password=hunter2', 'holds a password'],
  ['postgres://a@b/c?options=-c%20x', 'parameters that are not taken'],
  ['postgres://b/c', 'names no user'],
  ['postgres://a@b/c?port=x', 'port that is none'],
  ['postgres://a@b/c?sslmode=perhaps', 'another sslmode'],
  ['postgres://a@b/c?sslmode=verify-full', 'no sslrootcert'],
  ['postgres://a@b/%zz', 'escapes nothing'],
])('an address that can not be used is refused without being told: %s', (text, problem) => {
  expect(() => parseSourceUrl(text)).toThrow(problem)
  expect(() => parseSourceUrl(text)).not.toThrow('hunter2')
})

test('what libpq gets is quoted, and what people get names no database', () => {
  const address = parseSourceUrl("postgres://o'hara@h:1/d")
  const text = connectionText(address, "a'b\\c")
  expect(text).toContain(String.raw`host='h' port='1' user='o\'hara' dbname='a\'b\\c' sslmode='prefer'`)
  expect(describeAddress(address)).toBe("o'hara@h:1")
})
