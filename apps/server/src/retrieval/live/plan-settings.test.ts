import { expect, test } from 'vitest'
import { mergePlanSettings, withUnit } from './plan-settings.ts'

test.each([
  ['393216', '8kB', '3145728kB'],
  ['65536', 'kB', '65536kB'],
  ['4', 'MB', '4MB'],
  ['1.1', null, '1.1'],
  ['-1', '8kB', '-1'],
  ['on', null, 'on'],
  ['100', 'ms', '100'],
])('%s of %s is %s', (value, unit, normalised) => {
  expect(withUnit(value, unit)).toBe(normalised)
})

test('what one database of a server does not tell, another does', () => {
  const one = { values: { jit: 'on' }, hidden: ['work_mem', 'geqo'] }
  const other = { values: { jit: 'on', work_mem: '4MB' }, hidden: ['geqo'] }
  expect(mergePlanSettings([one, other])).toEqual({ values: { jit: 'on', work_mem: '4MB' }, hidden: ['geqo'] })
})
