import { type PoolUsage, ProvisionError } from '@dblab/provision'
import { expect, onTestFinished, test, vi } from 'vitest'
import { createLogger, transports } from 'winston'
import { Catalogue } from '../catalogue/catalogue.ts'
import { DiskMonitor } from '../status/disk.ts'
import { GarbageCollector } from './garbage.ts'
import { Room } from './room.ts'

// A pool of 100 bytes, of which 20 must stay free; its volumes go, and their bytes come back, when the test says so.

const log = createLogger({ silent: true, transports: [new transports.Console()] })
const refusal = { code: 'NOT_ENOUGH_DISK_SPACE' }

class Pool {
  readonly catalogue = Catalogue.empty('lab')
  readonly capabilities: { ownBytes: boolean; sharesBlocks: boolean }
  readonly freed = vi.fn()
  free = 10
  destroy = async (_id: string): Promise<void> => {}
  untilFreed = async (): Promise<void> => {}
  readonly room: Room
  readonly garbage: GarbageCollector

  constructor({ ownBytes = true, sharesBlocks = true } = {}) {
    this.capabilities = { ownBytes, sharesBlocks }
    const storage = {
      capabilities: { ...this.capabilities, atomicSnapshot: true, quota: false, foreignTrees: false },
      untilFreed: () => this.untilFreed(),
      freeBytes: async () => this.free,
      usage: async (): Promise<PoolUsage> => {
        const sizes = { sizeBytes: 100, freeBytes: this.free, usedBytes: 100 - this.free, compressionRatio: undefined }
        return { ...sizes, health: 'OK', healthDetail: '' }
      },
    }
    const { catalogue, freed } = this
    const provisioner = { storage: storage as never, destroyVolume: (id: string) => this.destroy(id) }
    // Nothing goes by itself.
    this.garbage = new GarbageCollector({ catalogue, provisioner, log, pause: () => new Promise(() => {}) })
    const disk = new DiskMonitor(storage, { lowFreePercent: 20, criticalFreePercent: 20 }, log)
    this.room = new Room({ catalogue, storage, disk, garbage: this.garbage, log, freed })
    onTestFinished(() => this.room[Symbol.asyncDispose]())
  }

  retire(id: string, bytes: number): void {
    this.catalogue.volumes.add(id, 'clone')
    this.catalogue.volumes.setState(id, 'retired')
    this.room.retired(id, bytes)
  }

  /** Deleted clones' bytes are back as soon as their volumes are gone. */
  freeing(bytes: number): void {
    this.destroy = async () => {
      this.free += bytes
    }
  }
}

test('what a deleted clone held is coming back until the storage has it', async () => {
  const pool = new Pool()
  const { promise, resolve } = Promise.withResolvers<void>()
  pool.untilFreed = () => promise
  pool.retire('one', 30)
  pool.retire('two', 10)
  expect(pool.room.comingBytes).toBe(40)
  await pool.garbage.collect()
  expect(pool.catalogue.volumes.list()).toEqual([])
  expect(pool.room.comingBytes).toBe(40)
  pool.free = 50
  resolve()
  await vi.waitFor(() => expect(pool.freed).toHaveBeenCalled(), { timeout: 5000 })
  expect(pool.room.comingBytes).toBe(0)
})

test('a clone counts from the moment in which it is asked to be deleted, unless its data stays for a snapshot', () => {
  const pool = new Pool()
  const time = '2026-01-31T12:00:00.000Z'
  const { catalogue } = pool
  catalogue.volumes.add('base', 'base')
  const snapshot = {
    ...{ published: true, timestamp: time, createdAt: time, database: 'shop', databases: ['shop'], size: 1 },
    ...{ postgresVersion: 18, cloneId: '', tokenId: null, sample: false, message: '', protected: false },
    ...{ maskVersion: '', superuser: '', hasPlanSettings: false },
  }
  catalogue.snapshots.add({ ...snapshot, id: 'of-base', volumeId: 'base' })
  for (const [n, id] of ['going', 'kept', 'staying'].entries()) {
    catalogue.volumes.add(`of-${id}`, 'clone')
    catalogue.clones.add({
      ...{ id, status: 'DELETING', message: '', project: '', name: '', username: '', protected: false, deleteAt: null },
      ...{
        createdAt: time,
        snapshotId: 'of-base',
        resetTo: null,
        volumeId: `of-${id}`,
        port: 21_500 + n,
        size: 10 + n,
      },
      ...{ dbUsername: 'alice', dbName: 'shop', verifier: '', cloningSeconds: 0, lastUsedAt: time },
      ...{ unsafeBootId: null, resetFailedAt: null, tokenId: null, profile: 'dev', steps: [] },
    })
  }
  catalogue.snapshots.add({ ...snapshot, id: 'of-kept', volumeId: 'of-kept' })
  catalogue.clones.update('staying', { status: 'OK' })
  expect(pool.room.comingBytes).toBe(10)
})

test('where a clone’s own bytes are not known, nothing is said to come back', () => {
  const pool = new Pool({ ownBytes: false })
  pool.retire('one', 30)
  expect(pool.room.comingBytes).toBe(0)
  const copies = new Pool({ ownBytes: false, sharesBlocks: false })
  copies.retire('one', 30)
  expect(copies.room.comingBytes).toBe(30)
})

test('what needs room waits for what was deleted, and hurries it', async () => {
  const pool = new Pool()
  pool.retire('one', 30)
  pool.freeing(30)
  pool.garbage.collectSoon()
  using _taken = await pool.room.takeSpace(20)
  expect(pool.catalogue.volumes.list()).toEqual([])
})

test('what is promised counts what is coming back, and takes nothing before it has come', async () => {
  const pool = new Pool()
  pool.retire('one', 30)
  await pool.room.requireSpaceInSight()
  expect(pool.catalogue.volumes.list()).toHaveLength(1)
  pool.freeing(30)
  await pool.room.requireSpace()
  expect(pool.catalogue.volumes.list()).toEqual([])
})

test('it is refused at once when nothing is coming back, or what came is too little', async () => {
  const pool = new Pool()
  await expect(pool.room.requireSpace()).rejects.toMatchObject(refusal)
  pool.retire('one', 5)
  pool.freeing(5)
  await expect(pool.room.requireSpaceInSight()).rejects.toMatchObject({
    message: '15.0 % of the pool is free, 20 % must be',
  })
  expect(pool.catalogue.volumes.list()).toEqual([])
})

test('it is refused at once when what was deleted can not be removed', async () => {
  const pool = new Pool()
  pool.retire('one', 30)
  pool.destroy = () => Promise.reject(new ProvisionError('FAILED', 'it is busy'))
  await expect(pool.room.takeSpace(0)).rejects.toMatchObject(refusal)
})

test('who waits for room can be told to stop', async () => {
  const pool = new Pool()
  pool.retire('one', 30)
  pool.destroy = () => new Promise(() => {})
  const stop = new AbortController()
  const taken = pool.room.takeSpace(0, stop.signal)
  stop.abort(new Error('not wanted any more'))
  await expect(taken).rejects.toThrow('not wanted any more')
})

test('storage that does not say whether it has freed what was removed keeps nobody waiting', async () => {
  const pool = new Pool()
  pool.retire('one', 30)
  pool.freeing(30)
  pool.untilFreed = () => Promise.reject(new ProvisionError('TIMEOUT', 'it did not end'))
  using _taken = await pool.room.takeSpace(0)
  expect(pool.room.comingBytes).toBe(0)
})
