import { expect, test } from 'vitest'
import { WorkingDirectories } from './working-directories.ts'

const at = (ino: bigint) => ({ dev: 1n, ino })

/** Processes that work in directories, looked at when the test lets the look go on. */
function machine(directories: Record<number, bigint>) {
  let looks = 0
  let goOn = Promise.resolve()
  const table = new WorkingDirectories({
    allPids: async () => {
      looks++
      await goOn
      return Object.keys(directories).map(Number)
    },
    directoryOf: async (pid) => {
      const ino = directories[pid]
      return ino === undefined ? undefined : at(ino)
    },
  })
  return {
    table,
    looks: () => looks,
    hold: () => {
      const { promise, resolve } = Promise.withResolvers<void>()
      goOn = promise
      return resolve
    },
  }
}

test('processes are told by the directory that they work in', async () => {
  const { table } = machine({ 10: 1n, 11: 2n, 12: 1n })
  expect((await table.pidsIn(at(1n))).toSorted()).toEqual([10, 12])
  expect(await table.pidsIn(at(3n))).toEqual([])
  expect(await table.pidsIn({ dev: 2n, ino: 1n })).toEqual([])
})

test('one look serves all who asked before it began, and none who asked after', async () => {
  const directories: Record<number, bigint> = { 10: 1n }
  const { table, looks, hold } = machine(directories)
  const goOn = hold()
  const first = table.pidsIn(at(1n))
  await new Promise((resolve) => setImmediate(resolve))
  const later = [table.pidsIn(at(1n)), table.pidsIn(at(2n)), table.pidsIn(at(3n))]
  expect(looks()).toBe(1)
  goOn()
  expect(await first).toEqual([10])
  directories[11] = 2n
  expect(await Promise.all(later)).toEqual([[10], [11], []])
  expect(looks()).toBe(2)
})

test('a look that fails fails for those whom it was for, and for nobody later', async () => {
  let broken = true
  const table = new WorkingDirectories({
    allPids: async () => {
      if (broken) throw new Error('no /proc')
      return [10]
    },
    directoryOf: async () => at(1n),
  })
  await expect(table.pidsIn(at(1n))).rejects.toThrow('no /proc')
  broken = false
  expect(await table.pidsIn(at(1n))).toEqual([10])
})
