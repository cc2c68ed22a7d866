import { type Instance, PortPool, ProvisionError, type Provisioner } from '@dblab/provision'
import { beforeEach, describe, expect, onTestFinished, test, vi } from 'vitest'
import { createLogger, transports } from 'winston'
import { Catalogue } from '../catalogue/catalogue.ts'
import type { CloneRecord } from '../catalogue/clones.ts'
import { Lull } from '../lab/lull.ts'
import { chooseSnapshot } from '../snapshots/choose.ts'
import { CloneService } from './clone-service.ts'
import { Jobs } from './jobs.ts'
import { CloneLifecycle } from './lifecycle.ts'
import { CloneMonitor } from './monitor.ts'

// What the moments between two steps can bring, one by one: the real storage and the real Postgres do not stop there on request.

const log = createLogger({ silent: true, transports: [new transports.Console()] })
const time = '2026-01-31T12:00:00.000Z'
const failure = new ProvisionError('FAILED', 'it did not work')

/** A machine that does what the test says at each step, and nothing else. */
class Machine {
  running = true
  shutDownCleanly = true
  keptOld: boolean | undefined
  create = async (_signal: AbortSignal | undefined): Promise<void> => {}
  reset = async (): Promise<void> => {}
  inspect = async (): Promise<void> => {}
  remove = async (): Promise<void> => {}
  destroy = async (): Promise<void> => {}

  provisioner(): Provisioner {
    const parts = {
      createClone: (_: unknown, { signal }: { signal?: AbortSignal }) => this.create(signal),
      resetClone: async (_: unknown, __: unknown, { keepOld }: { keepOld?: boolean }) => {
        this.keptOld = keepOld
        if (keepOld === false) this.running = false
        await this.reset()
      },
      ports: {
        check: async () => {
          throw new ProvisionError('UNAVAILABLE', 'no server answers at another port here')
        },
        answerAt: async () => {},
        hangUp: async () => {},
      },
      isShutDownCleanly: async () => this.shutDownCleanly,
      destroyVolume: () => this.destroy(),
      runtime: {
        inspect: async () => {
          await this.inspect()
          return { state: this.running ? 'running' : 'dead' } as Instance
        },
        remove: () => this.remove(),
        halt: async () => {},
        resume: async () => {},
      },
      storage: { volumeUsage: async () => ({ ownBytes: 1 }) },
    }
    return parts as unknown as Provisioner
  }
}

let catalogue: Catalogue
let machine: Machine
let lifecycle: CloneLifecycle
let jobs: Jobs
let clones: CloneService
let monitor: CloneMonitor

beforeEach(() => {
  catalogue = Catalogue.empty('lab')
  machine = new Machine()
  const provisioner = machine.provisioner()
  const ports = new PortPool({ from: 21_600, to: 21_699, host: '127.0.0.1' })
  const requireSpace = async () => {}
  const takeSpace = async () => ({ [Symbol.dispose]: () => {} })
  lifecycle = new CloneLifecycle({
    catalogue,
    provisioner,
    ports,
    log,
    collectSoon: () => {},
    retired: () => {},
    bootId: 'now',
    isUnsafe: () => false,
    lull: new Lull(),
    takeSpace,
  })
  jobs = new Jobs({ concurrency: 4, queue: 4 }, (error, id) => lifecycle.endedInDefect(id, error))
  clones = new CloneService({
    catalogue,
    lifecycle,
    jobs,
    ports,
    publicHost: 'localhost',
    tls: false,
    requireMasked: false,
    allowSuperusers: false,
    defaultProfile: 'dev',
    requireWritable: () => {},
    limits: {},
    requireSpace,
  })
  monitor = new CloneMonitor({
    catalogue,
    provisioner,
    clones,
    lifecycle,
    jobs,
    log,
    idleMinutes: 0,
    audit: { addOwn: () => {} },
  })
  catalogue.volumes.add('base', 'base')
  catalogue.snapshots.add({
    id: 'snapshot',
    volumeId: 'base',
    published: true,
    timestamp: time,
    createdAt: time,
    database: 'shop',
    databases: ['shop'],
    postgresVersion: 18,
    size: 1,
    cloneId: '',
    tokenId: null,
    sample: false,
    message: '',
    protected: false,
    maskVersion: '',
    superuser: '',
    hasPlanSettings: false,
  })
  catalogue.snapshots.setLive('snapshot', { database: 'shop', databases: ['shop'], size: 1 })
})

const choose = (wanted: string, masked = false) =>
  chooseSnapshot(catalogue.snapshots.listPublished(), wanted, { masked })

function addClone(id: string, changes: Partial<CloneRecord> = {}): void {
  catalogue.volumes.add(`of-${id}`, 'clone')
  catalogue.clones.add({
    ...{ id, status: 'OK', message: '', project: '', name: '', username: '', protected: false, deleteAt: null },
    ...{ createdAt: time, snapshotId: 'snapshot', resetTo: null, volumeId: `of-${id}`, port: 21_500, size: 0 },
    ...{ dbUsername: 'alice', dbName: 'shop', verifier: 'of a password', cloningSeconds: 0, lastUsedAt: time },
    ...{ unsafeBootId: null, resetFailedAt: null, tokenId: null, profile: 'dev', steps: [] },
    ...changes,
  })
}

async function settled(id: string): Promise<void> {
  while (jobs.isBusy(id)) await new Promise((resolve) => setImmediate(resolve))
}

test.each(['error', 'newListener', 'constructor'])('a clone may be called %s, and be waited for', async (id) => {
  await clones.create({ id, db: { username: 'alice', password: 'a password' } })
  expect((await clones.wait(id, 10)).status.code).toBe('OK')
  clones.delete(id)
  await settled(id)
  expect(catalogue.clones.get(id)).toBeUndefined()
})

describe('a deletion that is asked for', () => {
  test('while a reset fails comes after it, and is not forgotten', async () => {
    addClone('c')
    machine.reset = () => Promise.reject(failure)
    machine.inspect = async () => void clones.delete('c')
    await clones.reset('c')
    await settled('c')
    expect(catalogue.clones.get('c')).toBeUndefined()
  })

  test('while a creation ends in a defect is not forgotten, and what was made is retired', async () => {
    const begun = Promise.withResolvers<void>()
    const made = Promise.withResolvers<void>()
    machine.create = () => {
      begun.resolve()
      return made.promise
    }
    machine.destroy = () => Promise.reject(new TypeError('a defect'))
    await clones.create({ id: 'c', db: { username: 'alice', password: 'a password' } })
    await begun.promise
    clones.delete('c')
    made.reject(failure)
    await settled('c')
    expect(catalogue.clones.get('c')).toBeUndefined()
    expect(catalogue.volumes.list()).toContainEqual(expect.objectContaining({ role: 'clone', state: 'retired' }))
  })

  test('and fails can be asked for again', async () => {
    addClone('c')
    machine.remove = () => Promise.reject(new TypeError('a defect'))
    clones.delete('c')
    await settled('c')
    expect(clones.get('c').status).toEqual({ code: 'FATAL', message: expect.stringContaining('Delete it again') })
    machine.remove = async () => {}
    clones.delete('c')
    await settled('c')
    expect(catalogue.clones.get('c')).toBeUndefined()
  })
})

describe('a reset that fails', () => {
  test('leaves a clone OK whose data is as it was', async () => {
    addClone('c')
    machine.reset = () => Promise.reject(failure)
    await clones.reset('c')
    await settled('c')
    expect(clones.get('c').status).toEqual({ code: 'OK', message: expect.stringContaining('the reset failed') })
    expect(clones.get('c').resetFailedAt).toMatch(/^\d{4}-.*Z$/)
    expect(machine.keptOld).toBe(true)
    machine.reset = async () => {}
    expect((await clones.reset('c')).resetFailedAt).toBe('')
    await settled('c')
  })

  test('and whose Postgres did not come up again either is started again, not given up', async () => {
    addClone('c')
    machine.reset = async () => {
      machine.running = false
      throw failure
    }
    await clones.reset('c')
    await settled('c')
    expect(clones.get('c').status).toEqual({ code: 'FATAL', message: expect.stringContaining('will be tried again') })
    expect(catalogue.clones.get('c')).toMatchObject({ status: 'OK', volumeId: 'of-c' })
  })

  test('before anything was touched, for want of room on the disk of the catalogue, leaves all as it was', async () => {
    addClone('c')
    const full = Object.assign(new Error('database or disk is full'), { code: 'ERR_SQLITE_ERROR', errcode: 13 })
    catalogue.volumes.add = () => {
      throw full
    }
    await clones.reset('c')
    await settled('c')
    expect(clones.get('c').status).toEqual({ code: 'OK', message: expect.stringContaining('disk') })
  })

  test('never brings data back that the host lost writes of', async () => {
    addClone('c', { status: 'FATAL', unsafeBootId: 'an earlier boot' })
    machine.shutDownCleanly = false
    machine.reset = () => Promise.reject(failure)
    await clones.reset('c')
    await settled('c')
    expect(machine.keptOld).toBe(false)
    expect(clones.get('c').status.code).toBe('FATAL')
  })
})

test('each operation is told of once, when it ends, with what came of it', async () => {
  const ends: string[] = []
  lifecycle.books.ends.subscribe(({ operation, outcome, took }) =>
    ends.push(`${operation} ${outcome} ${took?.profile}`),
  )
  const endsOf = async (id: string) => {
    await settled(id)
    return ends.splice(0)
  }
  const request = { db: { username: 'alice', password: 'a password' } }
  await clones.create({ ...request, id: 'made', profile: 'test' })
  expect(await endsOf('made')).toEqual(['creation ok test'])
  machine.create = () => Promise.reject(failure)
  await clones.create({ ...request, id: 'failed' })
  expect(await endsOf('failed')).toEqual(['creation failed undefined'])
  // Its deletion may come before this is called.
  machine.create = async (signal) => {
    while (!signal?.aborted) await new Promise((resolve) => setImmediate(resolve))
    throw signal.reason
  }
  await clones.create({ ...request, id: 'given-up' })
  clones.delete('given-up')
  expect(await endsOf('given-up')).toEqual(['creation aborted undefined', 'deletion ok undefined'])
  await clones.reset('made')
  expect(await endsOf('made')).toEqual(['reset ok test'])
  machine.reset = () => Promise.reject(failure)
  await clones.reset('made')
  expect(await endsOf('made')).toEqual(['reset failed undefined'])
  machine.destroy = () => Promise.reject(new TypeError('a defect'))
  await clones.reset('made')
  expect(await endsOf('made')).toEqual(['reset failed undefined'])
  machine.destroy = async () => {}
  await clones.reset('made')
  clones.delete('made')
  expect(await endsOf('made')).toEqual(['reset aborted undefined', 'deletion ok undefined'])
  machine.remove = () => Promise.reject(failure)
  addClone('stays')
  clones.delete('stays')
  expect(await endsOf('stays')).toEqual(['deletion failed undefined'])
})

test('an operation without a job is done again by the next look, whatever ended it', async () => {
  addClone('c', { status: 'DELETING' })
  addClone('d', { status: 'RESETTING', port: 21_601, resetTo: 'snapshot' })
  await monitor.round()
  await Promise.all([settled('c'), settled('d')])
  expect(catalogue.clones.list()).toEqual([expect.objectContaining({ id: 'd', status: 'OK' })])
})

test('a clone that runs, though what came after its start failed, is ready again with the next look', async () => {
  addClone('ready')
  lifecycle.restarts.noteDown('ready', new Error('the disk of the catalogue was full'))
  expect(clones.get('ready').status.code).toBe('FATAL')
  vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + 60_000 })
  onTestFinished(() => void vi.useRealTimers())
  await monitor.round()
  await vi.waitFor(() => expect(clones.get('ready').status.code).toBe('OK'))
})

test('a deletion does not wait behind creations', async () => {
  addClone('old')
  machine.create = (signal) =>
    new Promise((_, reject) => signal?.addEventListener('abort', () => reject(signal.reason)))
  const ids = ['a', 'b', 'c', 'd', 'e']
  for (const id of ids) await clones.create({ id, db: { username: 'alice', password: 'a password' } })
  clones.delete('old')
  await settled('old')
  expect(catalogue.clones.get('old')).toBeUndefined()
  expect(catalogue.clones.list().map(({ status }) => status)).toEqual(ids.map(() => 'CREATING'))
  await jobs.close(0)
})

test('a reset goes to the main database of the other snapshot, unless the clone was made for another', async () => {
  catalogue.snapshots.add({
    ...{ id: 'next', volumeId: 'base', published: true, timestamp: time, createdAt: time, database: 'shop-2' },
    ...{ databases: ['shop-2', 'postgres'], postgresVersion: 18, size: 1, cloneId: '', sample: false, message: '' },
    tokenId: null,
    protected: false,
    maskVersion: '',
    superuser: '',
    hasPlanSettings: false,
  })
  catalogue.snapshots.setLive('next', { database: 'shop-2', databases: ['shop-2', 'postgres'], size: 1 })
  addClone('main')
  addClone('other', { dbName: 'gone', port: 21_601 })
  addClone('both', { dbName: 'postgres', port: 21_602 })
  await clones.reset('main', 'next')
  await clones.reset('both', 'next')
  await expect(clones.reset('other', 'next')).rejects.toThrow('shop-2, postgres')
  await Promise.all([settled('main'), settled('both')])
  expect(clones.list().map(({ id, db }) => [id, db.dbName])).toEqual([
    ['both', 'postgres'],
    ['main', 'shop-2'],
    ['other', 'gone'],
  ])
})

test('snapshots of clones are for those who name them', async () => {
  catalogue.snapshots.add({
    ...{ id: 'of-eve', volumeId: 'base', published: true, timestamp: time, createdAt: time, database: 'shop' },
    ...{ databases: ['shop'], postgresVersion: 18, size: 1, cloneId: 'eve', sample: false, message: '' },
    tokenId: null,
    protected: false,
    maskVersion: '',
    superuser: '',
    hasPlanSettings: false,
  })
  catalogue.snapshots.setLive('of-eve', { database: 'shop', databases: ['shop'], size: 1 })
  expect(choose('').id).toBe('snapshot')
  catalogue.snapshots.setState('snapshot', 'retired')
  expect(() => choose('')).toThrow('of-eve')
  expect(() => choose('2027-01-01')).toThrow('of-eve')
  expect(choose('of-eve').id).toBe('of-eve')
  catalogue.snapshots.setState('snapshot', 'live')
  catalogue.snapshots.add({
    ...{ id: '2027-01-01', volumeId: 'base', published: true, timestamp: time, createdAt: time, database: 'shop' },
    ...{ databases: ['shop'], postgresVersion: 18, size: 1, cloneId: 'eve', sample: false, message: '' },
    tokenId: null,
    protected: false,
    maskVersion: '',
    superuser: '',
    hasPlanSettings: false,
  })
  catalogue.snapshots.setLive('2027-01-01', { database: 'shop', databases: ['shop'], size: 1 })
  expect(choose('2027-01-01').id).toBe('snapshot')
})

test('data that was not masked is nobody’s once it is to be masked, but for what is made up', () => {
  const next = {
    ...{ volumeId: 'base', published: true, timestamp: '2020-01-01T00:00:00.000Z', createdAt: time, database: 'shop' },
    ...{ databases: ['shop'], postgresVersion: 18, size: 1, cloneId: '', message: '', tokenId: null },
    ...{ protected: false, superuser: '', hasPlanSettings: false },
  }
  expect(choose('').id).toBe('snapshot')
  expect(() => choose('', true)).toThrow(expect.objectContaining({ code: 'SNAPSHOT_UNMASKED' }))
  expect(() => choose('snapshot', true)).toThrow(expect.objectContaining({ code: 'SNAPSHOT_UNMASKED' }))
  catalogue.snapshots.add({ ...next, id: 'made-up', sample: true, maskVersion: '' })
  catalogue.snapshots.setLive('made-up', { database: 'shop', databases: ['shop'], size: 1 })
  expect(choose('', true).id).toBe('made-up')
  // Older data than the one that was not masked.
  catalogue.snapshots.add({ ...next, id: 'masked', sample: false, maskVersion: 'abc' })
  catalogue.snapshots.setLive('masked', { database: 'shop', databases: ['shop'], size: 1 })
  expect(choose('', true).id).toBe('masked')
  expect(choose('').id).toBe('snapshot')
})

test('closing asks what runs on to stop, and leaves it to the next start', async () => {
  machine.create = (signal) =>
    new Promise((_, reject) => signal?.addEventListener('abort', () => reject(signal.reason)))
  await clones.create({ id: 'c', db: { username: 'alice', password: 'a password' } })
  await jobs.close(10)
  expect(catalogue.clones.get('c')).toMatchObject({ status: 'CREATING', volumeId: null })
})
