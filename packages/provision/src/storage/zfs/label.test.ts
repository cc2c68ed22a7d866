import { expect, test } from 'vitest'
import { type Label, labelOptions, parseLabel } from './label.ts'

const label: Label = { lab: 'l', kind: 'volume', id: 'v', labels: { note: 'a=b, "c" ü' } }

/** What zfs would keep of these options. */
function propertiesOf(options: string[], local = true) {
  const pairs = options.filter((option) => option !== '-o').map((option) => option.split(/=(.*)/s))
  return new Map(pairs.map(([name = '', value = '']) => [name, { value, local }]))
}

test('a label is read as it was set', () => {
  expect(parseLabel(propertiesOf(labelOptions(label)))).toEqual(label)
})

test('an inherited label is none', () => {
  expect(parseLabel(propertiesOf(labelOptions(label), false))).toBeUndefined()
})

test.each([
  ['dblab:kind', 'other'],
  ['dblab:labels', '{'],
  ['dblab:labels', '[1]'],
  ['dblab:labels', '{"a":1}'],
])('a label whose %s is %s is none', (name, value) => {
  const properties = propertiesOf(labelOptions(label)).set(name, { value, local: true })
  expect(parseLabel(properties)).toBeUndefined()
})
