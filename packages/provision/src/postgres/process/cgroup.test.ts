import { expect, test } from 'vitest'
import { boundsOf, groupOfCgroup2, mountOfCgroup2 } from './cgroup.ts'

test('the group of version 2 is found beside those of version 1', () => {
  const hybrid = '12:pids:/user.slice\n2:cpuacct:/\n1:cpu:/\n0::/system.slice/dblab.service\n'
  expect(groupOfCgroup2(hybrid)).toBe('/system.slice/dblab.service')
  expect(groupOfCgroup2('2:cpuacct:/\n')).toBeUndefined()
})

test('the mount of version 2 is found, whatever else is mounted', () => {
  const mountinfo = [
    '24 1 0:22 / /sys rw,nosuid - sysfs sysfs rw',
    '30 24 0:26 / /sys/fs/cgroup/memory rw shared:9 - cgroup cgroup rw,memory',
    '31 24 0:27 / /sys/fs/cgroup/unified rw,relatime shared:10 - cgroup2 cgroup2 rw',
  ].join('\n')
  expect(mountOfCgroup2(mountinfo)).toBe('/sys/fs/cgroup/unified')
  expect(mountOfCgroup2('24 1 0:22 / /sys rw,nosuid - sysfs sysfs rw')).toBeUndefined()
})

test('bounds are written as the kernel reads them, and lifted where there are none', () => {
  expect(boundsOf({ memoryMaxBytes: 536_870_912, cpus: 1.5 }, ['memory', 'cpu'])).toEqual([
    ['memory.max', '536870912'],
    ['cpu.max', '150000 100000'],
  ])
  expect(boundsOf({}, ['memory', 'cpu'])).toEqual([
    ['memory.max', 'max'],
    ['cpu.max', 'max 100000'],
  ])
  // The kernel refuses less than a millisecond.
  expect(boundsOf({ cpus: 0.001 }, ['cpu'])).toEqual([['cpu.max', '1000 100000']])
})
