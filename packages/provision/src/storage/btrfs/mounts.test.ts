import { expect, test } from 'vitest'
import { parseMountinfo } from './mounts.ts'

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
