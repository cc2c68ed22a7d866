import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { differingBytes } from './differing-pages.ts'

const PAGE = 8192
const pages = (number: number) => Buffer.alloc(number * PAGE, 'a')

async function twoDirectories() {
  const top = await mkdtemp(join(tmpdir(), 'pages-'))
  onTestFinished(() => rm(top, { recursive: true }))
  const [before, after] = [join(top, 'before'), join(top, 'after')]
  for (const directory of [before, after]) await mkdir(join(directory, 'pg_wal'), { recursive: true })
  return { before, after }
}

test('pages count whole where a byte is another, and what is new or grown counts all', async () => {
  const { before, after } = await twoDirectories()
  const changed = pages(300)
  changed[5 * PAGE] = 0
  changed[200 * PAGE + 1] = 0
  await writeFile(join(before, 'table'), pages(300))
  await writeFile(join(after, 'table'), changed)
  await writeFile(join(before, 'grown'), pages(1))
  await writeFile(join(after, 'grown'), pages(3))
  await writeFile(join(after, 'new'), 'short')
  expect(await differingBytes(before, after)).toEqual({ data: 5 * PAGE, wal: 0 })
})

test('the log counts by itself, and what is the same or gone does not', async () => {
  const { before, after } = await twoDirectories()
  await writeFile(join(before, 'gone'), pages(1))
  await writeFile(join(before, 'same'), pages(200))
  await writeFile(join(after, 'same'), pages(200))
  await writeFile(join(after, 'pg_wal/1'), pages(2))
  expect(await differingBytes(before, after)).toEqual({ data: 0, wal: 2 * PAGE })
})
