import { expect, test, vi } from 'vitest'
import { type Asker, type JobKind, Jobs } from './jobs.ts'

const ann = { tokenId: 'ann', username: '' }
const bob = { tokenId: 'bob', username: '' }

/** Jobs that begin when it is their turn and end when the test says so. */
class Desk {
  readonly jobs: Jobs
  readonly begun: string[] = []
  readonly told: string[] = []
  readonly #ends = new Map<string, () => void>()

  constructor({ concurrency = 1, queue = 1000 } = {}) {
    this.jobs = new Jobs({ concurrency, queue, begun: (key) => this.told.push(key) }, (error) => {
      throw error
    })
  }

  add(key: string, asker: Asker, kind?: JobKind): Promise<void> {
    const work = () => {
      this.begun.push(key)
      return new Promise<void>((resolve) => this.#ends.set(key, resolve))
    }
    return this.jobs.add(key, work, { asker, ...(kind && { kind }) })
  }

  async addAll(count: number, name: string, asker: Asker, kind?: JobKind): Promise<void> {
    for (let n = 0; n < count; n++) void this.add(`${name}${n}`, asker, kind)
    await this.rest()
  }

  /** Ends this one, and lets those begin whose turn that makes it. */
  async end(key: string | undefined): Promise<void> {
    this.#ends.get(key ?? '')?.()
    this.#ends.delete(key ?? '')
    await this.rest()
  }

  /** Ends them in the order of their beginning, until none is left. */
  async endAll(): Promise<void> {
    for (let n = 0; n < this.begun.length; n++) await this.end(this.begun[n])
  }

  rest(): Promise<void> {
    return new Promise((resolve) => setImmediate(resolve))
  }
}

test('a place that is given back twice is given back once', () => {
  const { jobs } = new Desk({ queue: 1 })
  const first = jobs.reserve(ann)
  jobs.reserve(ann)
  expect(() => jobs.reserve(ann)).toThrow('2 operations run or wait already')
  first[Symbol.dispose]()
  first[Symbol.dispose]()
  jobs.reserve(ann)
  expect(() => jobs.reserve(ann)).toThrow('2 operations run or wait already')
})

test('one who has filled the queue keeps no other from a place in it', async () => {
  const desk = new Desk({ concurrency: 2, queue: 8 })
  await desk.addAll(10, 'a', ann)
  expect(() => desk.jobs.reserve(ann)).toThrow('10 operations')
  using _place = desk.jobs.reserve(bob)
  expect(() => desk.jobs.reserve(bob)).toThrow('11 operations')
})

test('neither deletions nor what comes up again after a reboot fill the queue', async () => {
  const desk = new Desk({ queue: 1 })
  await desk.addAll(20, 'start', ann, 'upkeep')
  await desk.addAll(20, 'deletion', ann, 'urgent')
  using _first = desk.jobs.reserve(ann)
  using _second = desk.jobs.reserve(ann)
  expect(() => desk.jobs.reserve(ann)).toThrow('2 operations')
})

test('five hundred of one delay a single one of another by no more than what runs', async () => {
  const desk = new Desk({ concurrency: 2 })
  await desk.addAll(500, 'a', ann)
  void desk.add('b', bob)
  expect(desk.jobs.position('b')).toBe(1)
  await desk.end('a1')
  expect(desk.begun).toEqual(['a0', 'a1', 'b'])
})

test('below one token, those who are named as users take turns', async () => {
  const desk = new Desk()
  await desk.addAll(50, 'ann', { tokenId: 'ci', username: 'ann' })
  await desk.addAll(2, 'bob', { tokenId: 'ci', username: 'bob' })
  await desk.addAll(2, 'other', bob)
  await desk.endAll()
  expect(desk.begun.slice(0, 6)).toEqual(['ann0', 'other0', 'bob0', 'other1', 'ann1', 'bob1'])
  expect(desk.begun).toHaveLength(54)
})

test('what comes up again after a reboot and what is asked take turns', async () => {
  const desk = new Desk()
  await desk.addAll(100, 'start', ann, 'upkeep')
  await desk.addAll(100, 'a', ann)
  await desk.endAll()
  const kinds = desk.begun.slice(1, 101).map((key) => key.startsWith('start'))
  expect(kinds.filter(Boolean)).toHaveLength(50)
  expect(desk.begun).toHaveLength(200)
})

test('positions are those in which they begin', async () => {
  const desk = new Desk({ concurrency: 3 })
  await desk.addAll(9, 'a', ann)
  await desk.addAll(4, 'b', bob)
  await desk.addAll(5, 'start', bob, 'upkeep')
  await desk.addAll(3, 'c', { tokenId: 'ann', username: 'cid' })
  const keys = ['a', 'b', 'start', 'c'].flatMap((name) => Array.from({ length: 9 }, (_, n) => `${name}${n}`))
  const waiting = keys.filter((key) => desk.jobs.position(key) > 0)
  const order = waiting.toSorted((one, other) => desk.jobs.position(one) - desk.jobs.position(other))
  expect(order.map((key) => desk.jobs.position(key))).toEqual(Array.from({ length: 18 }, (_, n) => n + 1))
  expect([...desk.jobs.positions()]).toEqual(order.map((key, n) => [key, n + 1]))
  await desk.endAll()
  expect(desk.begun.slice(3)).toEqual(order)
  expect(desk.told).toEqual(order)
})

test('a place in the queue is known as soon as the work is added', () => {
  const desk = new Desk()
  void desk.add('first', ann)
  void desk.add('second', ann)
  expect(['first', 'second'].map((key) => desk.jobs.position(key))).toEqual([0, 1])
})

test('what is asked to stop while it waits ends at once, and all behind it move up', async () => {
  const desk = new Desk()
  await desk.addAll(4, 'a', ann)
  const seen: boolean[] = []
  const done = desk.jobs.add('b', async (signal) => void seen.push(signal.aborted), { asker: bob })
  expect(desk.jobs.position('a1')).toBe(2)
  desk.jobs.abort('b', new Error('not wanted any more'))
  expect(desk.jobs.position('a1')).toBe(1)
  await done
  expect(seen).toEqual([true])
  expect([desk.begun, desk.told]).toEqual([['a0'], []])
})

test('deletions have the places that nothing else wants, and always one', async () => {
  const desk = new Desk({ concurrency: 4 })
  await desk.addAll(20, 'd', ann, 'urgent')
  expect(desk.begun).toEqual(['d0', 'd1', 'd2', 'd3'])
  await desk.addAll(5, 'a', ann)
  expect(desk.begun.slice(4)).toEqual(['a0', 'a1', 'a2', 'a3'])
  for (const key of ['d0', 'd1', 'd2']) await desk.end(key)
  expect(desk.begun).toHaveLength(8)
  await desk.end('d3')
  expect(desk.begun.slice(8)).toEqual(['d4'])
  for (const key of ['a0', 'a1', 'a2']) await desk.end(key)
  expect(desk.begun.slice(9)).toEqual(['a4', 'd5'])
  await desk.endAll()
  expect(desk.begun).toHaveLength(25)
})

test('what is in the background goes on when nothing is under way, else with the next that ends', async () => {
  const desk = new Desk({ concurrency: 2 })
  await desk.jobs.pause()
  await desk.addAll(3, 'a', ann)
  const steps: string[] = []
  const background = desk.jobs.pause().then(() => steps.push('background'))
  await desk.rest()
  expect(steps).toEqual([])
  await desk.end('a0')
  await background
  expect(steps).toEqual(['background'])
})

test('what is in the background goes on after a second, whatever runs', async () => {
  vi.useFakeTimers()
  try {
    const desk = new Desk()
    void desk.add('hangs', ann)
    const paused = desk.jobs.pause()
    await vi.advanceTimersByTimeAsync(1000)
    await paused
  } finally {
    vi.useRealTimers()
  }
})
