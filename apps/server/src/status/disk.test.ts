import type { PoolUsage } from '@dblab/provision'
import { expect, test } from 'vitest'
import { createLogger, transports } from 'winston'
import { DiskMonitor } from './disk.ts'

// A pool of 100 bytes, of which 20 must stay free, and what its readings say at a moment of the test's choosing.

const refusal = { code: 'NOT_ENOUGH_DISK_SPACE' }

function monitorOf(pool: { free: number; read?: () => Promise<void> }): DiskMonitor {
  const usage = async (): Promise<PoolUsage> => {
    const { free } = pool
    await pool.read?.()
    const stored = { sizeBytes: 100, freeBytes: free, usedBytes: 100 - free, compressionRatio: undefined }
    return { ...stored, health: 'OK', healthDetail: '' }
  }
  const log = createLogger({ silent: true, transports: [new transports.Console()] })
  const freeBytes = async () => (await usage()).freeBytes
  return new DiskMonitor({ usage, freeBytes }, { lowFreePercent: 20, criticalFreePercent: 20 }, log)
}

test('space that came back since the latest reading is found', async () => {
  const pool = { free: 30 }
  const disk = monitorOf(pool)
  await expect(disk.takeSpace(20)).rejects.toMatchObject(refusal)
  pool.free = 80
  using _taken = await disk.takeSpace(20)
  pool.free = 10
  await disk.refresh()
  pool.free = 80
  await disk.requireSpace()
})

test('a reading that began before the space came back is not what refuses', async () => {
  const { promise, resolve } = Promise.withResolvers<void>()
  const pool = { free: 10, read: () => promise }
  const disk = monitorOf(pool)
  const early = disk.refresh()
  pool.free = 80
  const taken = disk.takeSpace(20)
  resolve()
  await early
  using _taken = await taken
})

test('of many that wait for one reading, as many go on as there is room for', async () => {
  const disk = monitorOf({ free: 80 })
  const results = await Promise.allSettled(Array.from({ length: 10 }, () => disk.takeSpace(20)))
  expect(results.map(({ status }) => status).filter((status) => status === 'fulfilled')).toHaveLength(3)
  for (const result of results) if (result.status === 'rejected') expect(result.reason).toMatchObject(refusal)
})

test('what ended work took is read before more is allowed', async () => {
  const pool = { free: 60 }
  const disk = monitorOf(pool)
  for (let made = 0; made < 2; made++) {
    using _taken = await disk.takeSpace(20)
    pool.free -= 20
  }
  await expect(disk.takeSpace(20)).rejects.toMatchObject(refusal)
})

test('work that ends while it is read how much is free is judged by the next reading', async () => {
  const pool: { free: number; read?: () => Promise<void> } = { free: 50 }
  const disk = monitorOf(pool)
  const first = await disk.takeSpace(20)
  const begun = Promise.withResolvers<void>()
  const ended = Promise.withResolvers<void>()
  pool.read = () => {
    begun.resolve()
    return ended.promise
  }
  const second = disk.takeSpace(20)
  await begun.promise
  pool.free = 30
  first[Symbol.dispose]()
  ended.resolve()
  await expect(second).rejects.toMatchObject(refusal)
})

test('what begins when room has come back may be promised by what is coming', async () => {
  const disk = monitorOf({ free: 10 })
  await disk.requireSpace(10)
  await expect(disk.requireSpace(9)).rejects.toMatchObject({
    message: '19.0 % of the pool will be free once what is deleted is gone, 20 % must be',
  })
  await expect(disk.requireSpace()).rejects.toMatchObject({ message: '10.0 % of the pool is free, 20 % must be' })
})

test('a reading that is asked for anew is not one that had begun before', async () => {
  const { promise, resolve } = Promise.withResolvers<void>()
  const pool = { free: 10, read: () => promise }
  const disk = monitorOf(pool)
  const early = disk.refresh()
  pool.free = 80
  const anew = disk.readAnew()
  resolve()
  await early
  expect(disk.usage?.freeBytes).toBe(10)
  await anew
  expect(disk.usage?.freeBytes).toBe(80)
})
