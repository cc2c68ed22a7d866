import { setTimeout as delay } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { InTurn } from './background.ts'

test('work is done in turn', async () => {
  await using turns = new InTurn()
  const done: string[] = []
  void turns.add(async () => {
    await delay(50)
    done.push('first')
  })
  await turns.add(async () => {
    done.push('second')
  })
  expect(done).toEqual(['first', 'second'])
})

test('work that is stuck holds up what waits behind it for its turn alone, and is cut off and awaited in the end', async () => {
  const turns = new InTurn(100)
  const done: string[] = []
  void turns.add(async (signal) => {
    await delay(60_000, undefined, { signal }).catch(() => done.push('cut off'))
    await delay(50)
    done.push('tidied up')
  })
  await turns.add(async () => {
    done.push('next')
  })
  expect(done).toEqual(['next'])
  await turns[Symbol.asyncDispose]()
  expect(done).toEqual(['next', 'cut off', 'tidied up'])
})

test('what still waits is not begun once it is over', async () => {
  const turns = new InTurn()
  const done: string[] = []
  void turns.add(async () => {
    await delay(20)
    done.push('begun')
  })
  void turns.add(async () => {
    done.push('late')
  })
  await delay(1)
  await turns[Symbol.asyncDispose]()
  expect(done).toEqual(['begun'])
})
