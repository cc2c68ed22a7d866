import { expect, test } from 'vitest'
import { directorySource } from './directory-source.ts'

test.each([{ path: '/srv/15/main' }, { from: 'tank/prod', snapshots: 'all', directory: '15/main' }])(
  'takes %j',
  (source) => {
    expect(directorySource.safeParse({ kind: 'directory', ...source }).error).toBeUndefined()
  },
)

test.each([
  [{}, 'either path or from'],
  [{ path: '/srv/15/main', from: 'tank/prod' }, 'either path or from'],
  [{ path: 'main' }, 'absolute path'],
  [{ path: '/srv/15/main', snapshots: 'all' }, 'goes without snapshots'],
  [{ from: 'tank/prod', directory: '../other' }, 'a path within the snapshot'],
  [{ from: 'tank/prod', directory: '/srv' }, 'a path within the snapshot'],
])('refuses %j', (source, message) => {
  const { error } = directorySource.safeParse({ kind: 'directory', ...source })
  expect(JSON.stringify(error?.issues)).toContain(message)
})
