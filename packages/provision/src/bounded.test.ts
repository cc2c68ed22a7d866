import { setImmediate as turn } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { mapBounded, mapInTurn } from './bounded.ts'

test('what is made of each stands in the order of the items, and no more are under way than may be', async () => {
  const items = Array.from({ length: 50 }, (_, item) => item)
  let [underWay, most] = [0, 0]
  const made = await mapBounded(
    items,
    async (item) => {
      most = Math.max(most, ++underWay)
      // The later ones end first.
      for (let turns = item % 3; turns < 3; turns++) await turn()
      underWay--
      return item * 2
    },
    4,
  )
  expect(made).toEqual(items.map((item) => item * 2))
  expect(most).toBe(4)
})

test('nothing is begun behind a failure, and what was begun ends first', async () => {
  const ended: number[] = []
  const failing = mapBounded(
    [0, 1, 2, 3, 4],
    async (item) => {
      await turn()
      if (item === 0) throw new Error('the first')
      ended.push(item)
    },
    2,
  )
  await expect(failing).rejects.toThrow('the first')
  expect(ended).toEqual([1])
})

test('what is done in turn lets what waits in between each and the next', async () => {
  const order: string[] = []
  const background = mapInTurn(['a', 'b', 'c'], (item) => {
    order.push(item)
    setImmediate(() => order.push(`after ${item}`))
    return item.toUpperCase()
  })
  expect(await background).toEqual(['A', 'B', 'C'])
  expect(order).toEqual(['a', 'after a', 'b', 'after b', 'c', 'after c'])
})
