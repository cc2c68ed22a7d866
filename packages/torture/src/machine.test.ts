import { mkdtemp, rm, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { describeMemory } from './machine.ts'

test('a segment that nobody uses is told with its size, its time and its beginning', async () => {
  await using stack = new AsyncDisposableStack()
  const directory = await mkdtemp(join(tmpdir(), 'segment-'))
  stack.defer(() => rm(directory, { recursive: true }))
  const segment = join(directory, 'PostgreSQL.7')
  for (const [content, holds] of [
    [Buffer.alloc(4096), 'zeros'],
    [Buffer.from([0x32, 0x6d, 0x50, 0x9a]), '326d509a'],
  ] as const) {
    await writeFile(segment, content)
    await utimes(segment, 0, 1_790_000_000)
    expect(await describeMemory(segment)).toBe(
      `${segment} (${content.length} bytes, changed at 2026-09-21T14:13:20.000Z, ${holds})`,
    )
  }
  expect(await describeMemory(`${segment}0`)).toBe(`${segment}0`)
  expect(await describeMemory('System V segment 1 of process 2')).toBe('System V segment 1 of process 2')
})
