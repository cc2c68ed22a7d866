import { expect, test } from 'vitest'
import { Rounds } from './rounds.ts'

/** Items are named after who asked: `a1` is the first of `a`. */
function queueOf(...items: string[]): Rounds<string> {
  const queue = new Rounds<string>(1)
  for (const item of items) queue.add(item, [item.charAt(0)])
  return queue
}

function takeAll<T>(queue: Rounds<T>): T[] {
  return Array.from({ length: queue.size }, () => queue.take()).filter((item) => item !== undefined)
}

test('those who ask take turns, each in the order of its coming', () => {
  expect(takeAll(queueOf('a1', 'a2', 'a3', 'b1', 'b2', 'c1'))).toEqual(['a1', 'b1', 'c1', 'a2', 'b2', 'a3'])
})

test('who comes new goes before the next of who had a turn already', () => {
  const queue = queueOf('a1', 'a2', 'a3')
  expect(queue.take()).toBe('a1')
  queue.add('b1', ['b'])
  expect(takeAll(queue)).toEqual(['b1', 'a2', 'a3'])
})

test('who comes again and again, one at a time, gets every second turn and no more', () => {
  const queue = queueOf('a1', 'a2', 'a3', 'a4', 'b1')
  const taken: (string | undefined)[] = []
  for (let n = 2; queue.size > 0; n++) {
    const item = queue.take()
    taken.push(item)
    if (item?.startsWith('b') && n < 9) queue.add(`b${n}`, ['b'])
  }
  expect(taken.slice(0, 7).map((item) => item?.charAt(0))).toEqual(['a', 'b', 'a', 'b', 'a', 'b', 'a'])
})

test('who had a turn without waiting waits behind others', () => {
  const queue = queueOf()
  queue.passedBy(['a'])
  queue.add('a2', ['a'])
  queue.add('b1', ['b'])
  expect(takeAll(queue)).toEqual(['b1', 'a2'])
})

test('each first name gets as much as the other, however many there are below it', () => {
  const queue = new Rounds<string>(2)
  for (const user of ['ann', 'bob', 'cid']) for (const n of [1, 2]) queue.add(`ci/${user}${n}`, ['ci', user])
  for (const n of [1, 2, 3]) queue.add(`eve${n}`, ['eve', ''])
  expect(takeAll(queue)).toEqual([
    ...['ci/ann1', 'eve1', 'ci/bob1', 'eve2', 'ci/cid1', 'eve3'],
    ...['ci/ann2', 'ci/bob2', 'ci/cid2'],
  ])
})

test('what is taken out is passed over, and is no turn that was had', () => {
  const queue = queueOf('a1', 'a2', 'b1', 'c1')
  expect(queue.remove('b1', ['b'])).toBe(true)
  expect(queue.remove('b1', ['b'])).toBe(false)
  expect(queue.remove('a2', ['a'])).toBe(true)
  queue.add('b2', ['b'])
  expect(takeAll(queue)).toEqual(['a1', 'c1', 'b2'])
})

test('it tells at any moment in which order it will be taken', () => {
  const queue = new Rounds<number>(3)
  let seed = 1
  const random = (below: number) => {
    seed = (seed * 48_271) % 2_147_483_647
    return seed % below
  }
  const waiting = new Map<number, string[]>()
  for (let step = 0; step < 2000; step++) {
    const names = [`k${random(2)}`, `t${random(5)}`, `u${random(3)}`]
    const what = random(10)
    if (what < 5) {
      queue.add(step, names)
      waiting.set(step, names)
    } else if (what < 8) {
      const [first] = queue
      expect(queue.take()).toBe(first)
      if (first !== undefined) waiting.delete(first)
    } else if (what < 9) {
      const [item, under = []] = [...waiting][random(waiting.size || 1)] ?? []
      if (item !== undefined && queue.remove(item, under)) waiting.delete(item)
    } else if (queue.size === 0) queue.passedBy(names)
    expect(queue.size).toBe(waiting.size)
  }
  const told = [...queue]
  expect(told.toSorted((a, b) => a - b)).toEqual([...waiting.keys()])
  expect(takeAll(queue)).toEqual(told)
})

test('the order of ten times as many takes little more than ten times as long to tell', { timeout: 60_000 }, () => {
  const [some, many] = [20_000, 200_000].map((count) => {
    const queue = new Rounds<number>(2)
    for (let n = 0; n < count; n++) queue.add(n, [`t${n % 7}`, `u${n % 1000}`])
    const times = [1, 2, 3].map(() => {
      const begun = performance.now()
      expect([...queue]).toHaveLength(count)
      return performance.now() - begun
    })
    return Math.min(...times)
  })
  expect(many).toBeLessThan(40 * (some ?? 0))
})
