import { expect, test } from 'vitest'
import { compilePart, compilePattern, isExact } from './pattern.ts'

test('a star stands for any characters of its part, and everything else for itself', () => {
  const table = compilePattern('public.cust*')
  expect(table('public', 'customer')).toBe(true)
  expect(table('public', 'cust')).toBe(true)
  expect(table('public', 'Customer')).toBe(false)
  expect(table('sales', 'customer')).toBe(false)
  expect(compilePattern('*.a+b')('any.thing', 'a+b')).toBe(true)
  expect(compilePattern('p.t')('p', 't', 'c')).toBe(false)
  expect(compilePart('a.b*')('a.b.c')).toBe(true)
  expect(compilePart('a.b*')('axb')).toBe(false)
  expect(compilePattern('*.a+b')('x', 'aab')).toBe(false)
  expect(compilePattern('p.*')('p', 'two\nlines')).toBe(true)
})

test('only a name without a star is exact', () => {
  expect(isExact('public.customer')).toBe(true)
  expect(isExact('public.*')).toBe(false)
})
