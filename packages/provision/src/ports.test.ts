import { once } from 'node:events'
import { createServer } from 'node:net'
import { expect, test } from 'vitest'
import { PortPool } from './ports.ts'

const host = '127.0.0.1'

/** A range of the ports that nobody hands out by itself, far from those of other tests. */
function pool(from: number, count: number): PortPool {
  return new PortPool({ from, to: from + count - 1, host })
}

test('lends each port once, and says so when there is none left', async () => {
  const ports = pool(21_500, 3)
  const lent = await Promise.all([ports.lend(), ports.lend(), ports.lend()])
  expect(new Set(lent)).toEqual(new Set([21_500, 21_501, 21_502]))
  expect(ports.unlent).toBe(0)
  await expect(ports.lend()).rejects.toMatchObject({ code: 'UNAVAILABLE', hint: expect.any(String) })
})

test('lends a port that was given back only after the others', async () => {
  const ports = pool(21_510, 3)
  ports.release(await ports.lend())
  expect([await ports.lend(), await ports.lend(), await ports.lend()]).toEqual([21_511, 21_512, 21_510])
})

test('passes over a port that somebody else listens on', async () => {
  const ports = pool(21_520, 2)
  const stranger = createServer().listen(21_520, host)
  await once(stranger, 'listening')
  expect(await ports.lend()).toBe(21_521)
  await expect(ports.lend()).rejects.toMatchObject({ code: 'UNAVAILABLE' })
  stranger.close()
  await once(stranger, 'close')
  expect(await ports.lend()).toBe(21_520)
})

test('never lends a port that was taken', async () => {
  const ports = pool(21_540, 2)
  ports.take(21_540)
  // A clone from a time when the range was another.
  ports.take(20_000)
  expect(ports.unlent).toBe(1)
  expect(await ports.lend()).toBe(21_541)
  await expect(ports.lend()).rejects.toMatchObject({ code: 'UNAVAILABLE' })
})

test('a second release frees nothing of the next owner', async () => {
  const ports = pool(21_550, 1)
  const port = await ports.lend({ owner: 'a' })
  ports.release(port, 'a')
  await ports.lend({ owner: 'b' })
  ports.release(port, 'a')
  await expect(ports.lend()).rejects.toMatchObject({ code: 'UNAVAILABLE' })
  ports.release(port, 'b')
  ports.release(port, 'b')
  expect(await ports.lend()).toBe(port)
})

test.each([
  [0, 10],
  [10, 9],
  [1, 65_536],
  [1.5, 3],
])('%d to %d is no range', (from, to) => {
  expect(() => new PortPool({ from, to, host })).toThrow(expect.objectContaining({ code: 'INVALID' }))
})
