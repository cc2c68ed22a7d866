import { expect, test } from 'vitest'
import { kilobytesOf } from './memory.ts'

const ROLLUP = `55d0c0a00000-7ffd1f3f2000 ---p 00000000 00:00 0                          [rollup]
Rss:               18744 kB
Pss:                2137 kB
Pss_Dirty:          1204 kB
`

test('a figure is that of its own line, and no part of another name', () => {
  expect(kilobytesOf('Pss', ROLLUP)).toBe(2137)
  expect(kilobytesOf('Pss_Dirty', ROLLUP)).toBe(1204)
  expect(() => kilobytesOf('Swap', ROLLUP)).toThrow('Swap')
})
