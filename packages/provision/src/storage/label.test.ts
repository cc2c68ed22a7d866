import { expect, test } from 'vitest'
import { type Label, labelledName, parseLabel } from './label.ts'

const volume: Label = { lab: 'l', kind: 'volume', id: 'v', origin: null, labels: { note: 'ü "x"' } }
const clone: Label = { ...volume, origin: { volumeId: 'a', snapshotId: 'b' } }
const snapshot: Label = { lab: 'l', kind: 'snapshot', volumeId: 'a', snapshotId: 'b', labels: {} }

test.each([volume, clone, snapshot])('a label is read as it was written', (label) => {
  expect(parseLabel(JSON.stringify(label))).toEqual(label)
})

test('it tells the name of its directory', () => {
  expect([labelledName(volume), labelledName(snapshot)]).toEqual(['v', 'a@b'])
})

test.each([
  '',
  '{',
  'null',
  '[]',
  '{}',
  JSON.stringify({ ...volume, id: '../x' }),
  JSON.stringify({ ...volume, lab: 1 }),
  JSON.stringify({ ...volume, labels: { a: 1 } }),
  JSON.stringify({ ...volume, origin: 'a@b' }),
  JSON.stringify({ ...volume, origin: undefined }),
  JSON.stringify({ ...snapshot, snapshotId: undefined }),
  JSON.stringify({ ...snapshot, kind: 'other' }),
])('%s is no label', (text) => {
  expect(parseLabel(text)).toBeUndefined()
})
