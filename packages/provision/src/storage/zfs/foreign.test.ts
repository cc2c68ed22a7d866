import { expect, test } from 'vitest'
import { checkForeignName, snapshotListing } from './foreign.ts'
import { parseSnapshots } from './output.ts'

test('snapshots are asked for by one name, the oldest first', () => {
  expect(snapshotListing('tank/prod').join(' ')).toBe(
    'list -Hp -o name,creation -s creation -t snapshot -d 1 tank/prod',
  )
})

test('what zfs lists is when each snapshot was taken', () => {
  expect(parseSnapshots('tank/prod@one\t1795716422\ntank/prod@two\t1795716430\n')).toEqual([
    { name: 'tank/prod@one', createdAt: new Date('2026-11-26T18:07:02Z') },
    { name: 'tank/prod@two', createdAt: new Date('2026-11-26T18:07:10Z') },
  ])
  expect(parseSnapshots('')).toEqual([])
  expect(() => parseSnapshots('tank/prod@one\tThu Nov 26')).toThrow(expect.objectContaining({ code: 'FAILED' }))
})

test.each(['tank@initial', 'tank/prod', 'tank/prod@initial', 'tank/lab@initial', 'tank/lab2/prod@a:b-c.d'])(
  '%s may be taken into tank/lab',
  (name) => {
    expect(() => checkForeignName(name, 'tank/lab')).not.toThrow()
  },
)

test.each([
  '-r',
  'tank/-r',
  'tank/prod@',
  'tank/prod@-r',
  'tank/a b',
  '/tank',
  'other/prod@x',
  'tank/lab/v@s',
  'tank/a@b@c',
])('%s may not be taken into tank/lab', (name) => {
  expect(() => checkForeignName(name, 'tank/lab')).toThrow(expect.objectContaining({ code: 'INVALID' }))
})
