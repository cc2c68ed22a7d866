import { appendFile, mkdtemp, open, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { linesSince, logSize, tailLines, trimLog } from './log.ts'

async function logFile(text?: string): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'dblab-log-'))
  onTestFinished(() => rm(directory, { recursive: true, force: true }))
  const path = join(directory, 'postgres.log')
  if (text !== undefined) await writeFile(path, text)
  return path
}

test('gives the last lines, oldest first', async () => {
  const path = await logFile('a\nb\nc\n')
  expect(await tailLines(path, 2)).toEqual(['b', 'c'])
  expect(await tailLines(path, 10)).toEqual(['a', 'b', 'c'])
  expect(await tailLines(path, 0)).toEqual([])
})

test('has no lines where there is no file, or nothing in it', async () => {
  expect(await tailLines(await logFile(), 5)).toEqual([])
  expect(await tailLines(await logFile(''), 5)).toEqual([])
  expect(await logSize(await logFile())).toBe(0)
})

test('reads a large file from its end, and begins with a whole line', async () => {
  const path = await logFile(`${'x'.repeat(3_000_000)}\nlast\n`)
  expect(await tailLines(path, 5)).toEqual(['last'])
})

test('gives what was written since', async () => {
  const path = await logFile('before\n')
  const size = await logSize(path)
  expect(await linesSince(path, size)).toEqual([])
  await appendFile(path, 'after\n')
  expect(await linesSince(path, size)).toEqual(['after'])
  expect(await linesSince(path, 10_000)).toEqual(['before', 'after'])
})

test('cuts a log to its newest whole lines, and its writer goes on behind them', async () => {
  const path = await logFile()
  const writer = await open(path, 'a')
  onTestFinished(() => writer.close())
  for (let n = 0; n < 100; n++) await writer.write(`line ${n}\n`)
  await trimLog(path, { maxBytes: 500, keepBytes: 30 })
  await writer.write('more\n')
  expect(await readFile(path, 'utf8')).toBe('line 97\nline 98\nline 99\nmore\n')
  await trimLog(path, { maxBytes: 500, keepBytes: 30 })
  expect((await tailLines(path, 10)).at(-1)).toBe('more')
})
