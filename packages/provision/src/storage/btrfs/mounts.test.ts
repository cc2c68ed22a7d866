import { expect, test } from 'vitest'
import { holding, parseMountinfo } from './mounts.ts'

test('mount points, types and devices are read, with or without optional fields', () => {
  const text = `27 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
43 27 0:39 / /data/a\\040b rw,noatime shared:5 master:2 - btrfs /dev/loop0 rw,user_subvol_rm_allowed,subvolid=5,subvol=/
28 27 0:5 / /dev rw - devtmpfs devtmpfs rw,size=1k
`
  expect(parseMountinfo(text)).toEqual([
    { mountPoint: '/', fileSystem: 'ext4', source: '/dev/vda' },
    { mountPoint: '/data/a b', fileSystem: 'btrfs', source: '/dev/loop0' },
    { mountPoint: '/dev', fileSystem: 'devtmpfs', source: 'devtmpfs' },
  ])
})

test('a path lies in the innermost mount above it, the last of those over each other', () => {
  const mounts = ['/', '/data', '/data/pool', '/data', '/database'].map((mountPoint, number) => ({
    mountPoint,
    fileSystem: 'btrfs',
    source: `${number}`,
  }))
  const sourceOf = (path: string) => holding(mounts, path)?.source
  expect(['/data/pool/volumes', '/data/pool', '/data/other', '/data', '/databases', '/'].map(sourceOf)).toEqual([
    '2',
    '2',
    '3',
    '3',
    '0',
    '0',
  ])
  expect(holding([], '/data')).toBeUndefined()
})
