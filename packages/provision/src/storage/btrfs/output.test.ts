import { expect, test } from 'vitest'
import { parseCreationTime, parseDeviceErrors, parseDu, parseErrorStats } from './output.ts'

test('the sums of a tree are read', () => {
  const stdout = '     Total   Exclusive  Set shared  Filename\n   5242880       16384     5242880  vol/x\n'
  expect(parseDu(stdout)).toBe(16384)
})

test('an unknown form is an error, not a zero', () => {
  for (const stdout of ['', 'Total Exclusive\n', '3 1.00KiB 2 x\n']) {
    expect(() => parseDu(stdout)).toThrow(expect.objectContaining({ code: 'FAILED' }))
  }
})

const STATS = `[/dev/loop0].write_io_errs    0
[/dev/loop0].read_io_errs     0
[/dev/loop0].flush_io_errs    0
[/dev/loop0].corruption_errs  0
[/dev/loop0].generation_errs  0
`

test('a device without errors has none', () => {
  expect(parseDeviceErrors(STATS)).toEqual([])
  expect(parseDeviceErrors('')).toEqual([])
})

test('counters above zero are told', () => {
  expect(parseDeviceErrors(STATS.replace('corruption_errs  0', 'corruption_errs  3'))).toEqual([
    '[/dev/loop0].corruption_errs 3',
  ])
})

test('counters of sysfs above zero are told, and invalid ones are none', () => {
  const stats = 'write_errs 0\nread_errs 10\nflush_errs 0\ncorruption_errs 3\ngeneration_errs 0\n'
  expect(parseErrorStats(stats)).toEqual(['read_errs 10', 'corruption_errs 3'])
  expect(parseErrorStats(stats.replaceAll(/\d+/g, '0'))).toEqual([])
  expect(parseErrorStats('invalid\n')).toBeUndefined()
})

test('when a subvolume was made is told in the time zone of the machine', () => {
  const shown = (time: string) =>
    `snapshots/monday\n\tName: \t\t\tmonday\n\tCreation time: \t\t${time}\n\tFlags: \t\t\treadonly\n`
  expect(parseCreationTime(shown('2026-11-26 19:07:02 +0100'))).toEqual(new Date('2026-11-26T18:07:02Z'))
  expect(() => parseCreationTime(shown('-'))).toThrow(expect.objectContaining({ code: 'FAILED' }))
})
