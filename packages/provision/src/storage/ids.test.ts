import { describe, expect, test } from 'vitest'
import { checkLabels, checkLabId, checkSnapshotRef, checkVolumeId, parseSnapshotName, snapshotName } from './ids.ts'

const invalid = expect.objectContaining({ code: 'INVALID' })

describe('volume ids', () => {
  test.each(['a', '0', 'a-b', 'c'.repeat(63), 'x--'])('%s is an id', (id) => {
    expect(() => checkVolumeId(id)).not.toThrow()
  })

  test.each([
    '',
    '-rf',
    '--help',
    '.',
    '..',
    '../x',
    'a/b',
    'a@b',
    'a b',
    'A',
    'a\n',
    'a\0',
    'é',
    'a_b',
    'a'.repeat(64),
    undefined,
    null,
    7,
  ])('%j is none', (id) => {
    expect(() => checkVolumeId(id)).toThrow(invalid)
  })

  test('a rejected id is not repeated in the message', () => {
    expect(() => checkVolumeId('Secret!')).toThrow(
      expect.objectContaining({ message: expect.not.stringContaining('Secret') }),
    )
  })
})

test('both halves of a snapshot reference are checked', () => {
  expect(() => checkSnapshotRef({ volumeId: 'a', snapshotId: 'b' })).not.toThrow()
  expect(() => checkSnapshotRef({ volumeId: '../a', snapshotId: 'b' })).toThrow(invalid)
  expect(() => checkSnapshotRef({ volumeId: 'a', snapshotId: 'b@c' })).toThrow(invalid)
})

test('a lab id has its form', () => {
  expect(() => checkLabId('lab-1')).not.toThrow()
  for (const id of ['', 'Lab', 'a/b', 'a'.repeat(64)]) expect(() => checkLabId(id)).toThrow(invalid)
})

describe('labels', () => {
  test('values of printable characters are taken, unicode and empty ones too', () => {
    expect(() => checkLabels({ note: 'ünï — "quoted" 🐘 \\', empty: '', long: 'x'.repeat(1024) })).not.toThrow()
  })

  test.each([
    { 'Bad-key': 'x' },
    { '': 'x' },
    { a: 'tab\there' },
    { a: 'line\nbreak' },
    { a: '\ud83d' },
    { a: 'x'.repeat(1025) },
  ])('%j is refused', (labels) => {
    expect(() => checkLabels(labels as unknown as Record<string, string>)).toThrow(invalid)
  })

  test('together they must fit into one property', () => {
    const labels = Object.fromEntries(Array.from({ length: 8 }, (_, i) => [`k${i}`, 'x'.repeat(1024)]))
    expect(() => checkLabels(labels)).toThrow(invalid)
  })
})

test('a snapshot name is taken apart as it was put together', () => {
  const ref = { volumeId: 'a-1', snapshotId: 'b-2' }
  expect(parseSnapshotName(snapshotName(ref))).toEqual(ref)
  for (const name of ['a', 'a@', '@b', 'a@b@c', 'a@B', '.x']) expect(parseSnapshotName(name)).toBeUndefined()
})
