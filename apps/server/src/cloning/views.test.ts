import { expect, test } from 'vitest'
import { addBase, cloneRow } from '../../test/support/rows.ts'
import { Catalogue } from '../catalogue/catalogue.ts'
import type { CloneNow } from './view.ts'
import { CloneViews } from './views.ts'

function world() {
  const catalogue = Catalogue.empty('lab')
  addBase(catalogue)
  catalogue.clones.add(cloneRow(1, { id: 'c' }))
  const views = new CloneViews({ publicHost: 'lab', tls: false })
  const view = (now: Partial<CloneNow> = {}) => {
    const record = catalogue.clones.get('c')
    if (!record) throw new Error('no clone')
    const usual = { starting: false, down: undefined, queuePosition: 0, diskQuota: undefined }
    return views.of(record, { ...usual, ...now })
  }
  return { catalogue, view }
}

test('a clone of which nothing is new is the same object, which nobody can change', () => {
  const { view } = world()
  expect(view()).toBe(view())
  expect(() => Object.assign(view().db, { host: 'elsewhere' })).toThrow(TypeError)
})

test.each<[string, Partial<CloneNow>]>([
  ['it is starting', { starting: true }],
  ['it is down', { down: 'why' }],
  ['it waits', { queuePosition: 1 }],
  ['it has a quota', { diskQuota: 100 }],
])('it is another while %s', (_what, now) => {
  const { view } = world()
  const before = view()
  expect(view(now)).not.toEqual(before)
  expect(view()).toEqual(before)
})

test('it is another once its row was written, and not by a write that was rolled back', () => {
  const { catalogue, view } = world()
  const before = view()
  expect(() =>
    catalogue.transaction(() => {
      catalogue.clones.update('c', { name: 'never' })
      expect(view().name).toBe('never')
      throw new Error('no')
    }),
  ).toThrow('no')
  expect(view()).toEqual(before)
  catalogue.clones.update('c', { name: 'new' })
  expect(view().name).toBe('new')
})
