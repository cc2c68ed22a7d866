import { expect, test } from 'vitest'
import { addCounts, TableProgress } from './table-progress.ts'

const sizes = new Map([
  ['public.a', 100],
  ['public.b', 50],
  ['sales.a', 10],
])

test('with several jobs a table is done when its job says so, in whatever order', () => {
  const progress = new TableProgress(sizes, { jobs: 2 })
  expect(progress.line('pg_dump: saving encoding = UTF8')).toBe(false)
  progress.line('pg_dump: dumping contents of table "public.a"')
  progress.line('pg_dump: dumping contents of table "public.b"')
  expect(progress.counts).toMatchObject({ tablesDone: 0, bytesDone: 0, tablesTotal: 3, bytesTotal: 160 })
  progress.line('pg_dump: finished item 3346 TABLE DATA b')
  expect(progress.counts).toMatchObject({ tablesDone: 1, bytesDone: 50 })
})

test('with one job a table is done when the next one begins', () => {
  const progress = new TableProgress(sizes, { jobs: 1 })
  progress.line('pg_restore: processing data for table "public.a"')
  expect(progress.counts.tablesDone).toBe(0)
  progress.line('pg_restore: processing data for table "sales.a"')
  expect(progress.counts).toMatchObject({ tablesDone: 1, bytesDone: 100 })
})

test('what the server has copied of the tables under way counts, up to their size', () => {
  const progress = new TableProgress(sizes, { jobs: 2 })
  progress.line('pg_restore: processing data for table "public.a"')
  progress.copied(30)
  expect(progress.counts.bytesDone).toBe(30)
  progress.copied(3000)
  expect(progress.counts.bytesDone).toBe(100)
  progress.line('pg_restore: finished item 1 TABLE DATA a')
  expect(progress.counts).toMatchObject({ tablesDone: 1, bytesDone: 100 })
})

test('databases are added up', () => {
  const [done, rest] = [new TableProgress(sizes, { jobs: 1 }), new TableProgress(new Map([['x.y', 7]]), { jobs: 1 })]
  done.line('processing data for table "public.a"')
  done.line('processing data for table "public.b"')
  expect(addCounts([done.counts, rest.counts])).toEqual({
    tablesDone: 1,
    tablesTotal: 4,
    bytesDone: 100,
    bytesTotal: 167,
  })
})
