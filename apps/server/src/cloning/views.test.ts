import { expect, test } from 'vitest'
import { Catalogue } from '../catalogue/catalogue.ts'
import type { CloneNow } from './view.ts'
import { CloneViews } from './views.ts'

const time = '2026-01-31T12:00:00.000Z'

function world() {
  const catalogue = Catalogue.empty('lab')
  const views = new CloneViews({ publicHost: 'lab', tls: false })
  catalogue.volumes.add('base', 'base')
  const facts = { database: 'shop', databases: ['shop'], postgresVersion: 18, size: 1, sample: false, message: '' }
  const marks = { cloneId: '', tokenId: null, protected: false, maskVersion: '', superuser: '' }
  catalogue.snapshots.add({
    ...{ ...facts, ...marks, id: 's', volumeId: 'base', published: true, timestamp: time, createdAt: time },
  })
  catalogue.clones.add({
    ...{ id: 'c', status: 'OK', message: 'ready', project: '', name: '', username: '', protected: false, port: 6000 },
    ...{ deleteAt: null, createdAt: time, lastUsedAt: time, snapshotId: 's', resetTo: null, volumeId: null },
    ...{ dbUsername: 'alice', dbName: 'shop', verifier: 'v', size: 0, cloningSeconds: 0, unsafeBootId: null },
    ...{ resetFailedAt: null, tokenId: null },
  })
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
