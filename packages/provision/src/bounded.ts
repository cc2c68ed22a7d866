import { setImmediate } from 'node:timers/promises'

/** libuv has four threads for file calls by default; twice as many calls keep them busy. */
const FILE_CALLS = 8

/** Does the work for every item, `width` at once. After a failure none is begun, and it throws only when the others have ended. */
export async function forEachBounded<T>(
  items: Iterable<T>,
  work: (item: T) => Promise<void>,
  width = FILE_CALLS,
): Promise<void> {
  const iterator = items[Symbol.iterator]()
  const failures: unknown[] = []
  const worker = async () => {
    while (failures.length === 0) {
      const next = iterator.next()
      if (next.done) return
      try {
        await work(next.value)
      } catch (error) {
        failures.push(error)
      }
    }
  }
  await Promise.all(Array.from({ length: width }, worker))
  if (failures.length > 0) throw failures[0]
}

/** What the work makes of each item, in their order, `width` at once; fails as `forEachBounded` does. */
export async function mapBounded<T, R>(
  items: readonly T[],
  work: (item: T) => Promise<R>,
  width = FILE_CALLS,
): Promise<R[]> {
  const made: R[] = []
  const keep = async ([at, item]: [number, T]) => {
    made[at] = await work(item)
  }
  await forEachBounded(items.entries(), keep, width)
  return made
}

/**
 * What the work makes of each item, one after the other, with whatever else waits let in between. For the background: hundreds of calls in one
 * go, as short as each of them is, would keep a request waiting.
 */
export async function mapInTurn<T, R>(items: Iterable<T>, work: (item: T) => R | Promise<R>): Promise<R[]> {
  const made: R[] = []
  for (const item of items) {
    made.push(await work(item))
    await setImmediate()
  }
  return made
}

/** Both, ended, before the failure of one is thrown. */
export async function bothOf<A, B>(first: Promise<A>, second: Promise<B>): Promise<[A, B]> {
  await allOf([first, second])
  return [await first, await second]
}

/** All of them, ended, before the first failure among them is thrown: nothing of what was begun goes on behind it. */
export async function allOf(works: readonly Promise<unknown>[]): Promise<void> {
  const ended = await Promise.allSettled(works)
  const failed = ended.find((end) => end.status === 'rejected')
  if (failed) throw failed.reason
}
