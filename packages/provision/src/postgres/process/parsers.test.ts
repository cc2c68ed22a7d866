import { expect, test } from 'vitest'
import { parsePostmasterFile } from './postmaster-file.ts'
import { postmasterOf } from './processes.ts'
import { parseRow } from './processes-ps.ts'
import { listedHandles, parseSegments } from './shared-memory.ts'

test('reads a postmaster.pid, whole and half written', () => {
  const whole = '3406\n/data/a\n1763824891\n48040\n/run/a\n127.0.0.1\n  43782147         7\nready   \n'
  expect(parsePostmasterFile(whole)).toEqual({
    pid: 3406,
    dataDir: '/data/a',
    sentinel: { key: 43_782_147, id: 7 },
    status: 'ready',
  })
  expect(parsePostmasterFile('3406\n/data/a\n')).toMatchObject({
    pid: 3406,
    sentinel: undefined,
    status: undefined,
  })
  expect(parsePostmasterFile('')).toBeUndefined()
  expect(parsePostmasterFile('garbage\n')).toBeUndefined()
})

test('reads what ps says on macOS', () => {
  const line = '  812     1 Ss   Sat Nov 22 14:52:07 2025     /opt/pg/bin/postgres -D /data dir -c port=1'
  expect(parseRow(line)).toEqual({
    pid: 812,
    parent: 1,
    state: 'Ss',
    startedAt: 'Sat Nov 22 14:52:07 2025',
    command: '/opt/pg/bin/postgres -D /data dir -c port=1',
  })
  expect(parseRow('  812     1 Z    Sat Nov 22 14:52:07 2025     <defunct>')).toBeUndefined()
  expect(parseRow('')).toBeUndefined()
})

test('reads the table of shared memory', () => {
  const table = `       key      shmid perms                  size  cpid  lpid nattch   uid   gid\n  43782147          7   600                    56  3406  3410      6   101   104\n`
  expect(parseSegments(table)).toEqual([{ key: 43_782_147, id: 7, creator: 3406, attached: 6 }])
})

test('finds the server among its processes, and none among what a killed one left', () => {
  const child = { pid: 11, parent: 10, startedAt: 'b/2', isServer: false }
  const server = { pid: 10, parent: 1, startedAt: 'b/1', isServer: true }
  // Just forked: it has not yet said what it is.
  const unnamed = { pid: 12, parent: 10, startedAt: 'b/3', isServer: true }
  expect(postmasterOf([unnamed, child, server])).toBe(server)
  expect(postmasterOf([{ ...child, parent: 1 }])).toBeUndefined()
  expect(postmasterOf([])).toBeUndefined()
})

test("reads a server's list of its segments, and nothing from what is none", () => {
  const list = Buffer.alloc(16 + 3 * 40)
  list.writeUInt32LE(0x9a503d32, 0)
  list.writeUInt32LE(2, 4)
  list.writeUInt32LE(4_000_000_000, 16)
  list.writeUInt32LE(2, 20)
  list.writeUInt32LE(7, 16 + 40)
  list.writeUInt32LE(9, 16 + 80)
  list.writeUInt32LE(2, 20 + 80)
  expect(listedHandles(list)).toEqual([4_000_000_000])
  expect(listedHandles(Buffer.alloc(100))).toEqual([])
  expect(listedHandles(Buffer.alloc(3))).toEqual([])
})
