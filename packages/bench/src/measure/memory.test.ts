import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { helperBytes, kilobytesOf, proportionalBytes } from './memory.ts'

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

test('children count, and those that end while they are looked at count nothing', async () => {
  // One that stays, beside one after the other that does not.
  const parent = spawn('sh', ['-c', 'sleep 60 & while :; do /bin/true; done'], { detached: true, stdio: 'ignore' })
  const { pid = 0 } = parent
  try {
    await sleep(300)
    for (let look = 0; look < 200; look++) expect(await proportionalBytes(pid)).toBeGreaterThan(0)
    expect(await helperBytes(pid)).toBeGreaterThan(0)
  } finally {
    const ended = once(parent, 'exit')
    process.kill(-pid, 'SIGKILL')
    await ended
  }
  await expect(proportionalBytes(pid)).rejects.toThrow('ENOENT')
})
