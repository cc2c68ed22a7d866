import type { Provisioner } from '@dblab/provision'
import { expect, test, vi } from 'vitest'
import { createLogger, transports } from 'winston'
import { Catalogue } from '../catalogue/catalogue.ts'
import { GarbageCollector } from './garbage.ts'

const log = createLogger({ silent: true, transports: [new transports.Console()] })
/** Removes whatever it is told to. */
const provisioner = { destroyVolume: async () => {} } as unknown as Provisioner

test('a collection that could not retire something keeps neither that nor a later one from being done', async () => {
  const catalogue = Catalogue.empty('lab')
  catalogue.volumes.add('unused', 'scratch')
  catalogue.volumes.setState('unused', 'live')
  const garbage = new GarbageCollector({ catalogue, provisioner, log })
  vi.spyOn(catalogue.volumes, 'setState').mockImplementationOnce(() => {
    throw new Error('database or disk is full')
  })
  await Promise.all([garbage.collect(), garbage.collect()])
  await garbage.collect()
  expect(catalogue.volumes.list()).toEqual([])
})

test('one that fails for good fails for who asked for it, and for nobody later', async () => {
  const catalogue = Catalogue.empty('lab')
  const garbage = new GarbageCollector({ catalogue, provisioner, log })
  vi.spyOn(catalogue.volumes, 'base').mockImplementationOnce(() => {
    throw new Error('the disk is gone')
  })
  const [first, second] = await Promise.allSettled([garbage.collect(), garbage.collect()])
  expect([first?.status, second?.status]).toEqual(['rejected', 'fulfilled'])
  await Promise.all([garbage.collect(), garbage.collect()])
})

test('old generations are retired first, and a failure of that keeps nothing else from going', async () => {
  const catalogue = Catalogue.empty('lab')
  const retiring = [
    () => {
      throw new Error('database or disk is full')
    },
    () => {
      catalogue.volumes.setState('old', 'retired')
      return ['the snapshot of old']
    },
  ]
  const garbage = new GarbageCollector({ catalogue, provisioner, log, retire: () => retiring.shift()?.() ?? [] })
  for (const id of ['old', 'retired']) {
    catalogue.volumes.add(id, 'clone')
    catalogue.volumes.setState(id, 'live')
  }
  catalogue.volumes.setState('retired', 'retired')
  await garbage.collect()
  expect(catalogue.volumes.list().map(({ id }) => id)).toEqual(['old'])
  await garbage.collect()
  expect(catalogue.volumes.list()).toEqual([])
})

function retiredVolumes(...ids: string[]): Catalogue {
  const catalogue = Catalogue.empty('lab')
  for (const id of ids) {
    catalogue.volumes.add(id, 'clone')
    catalogue.volumes.setState(id, 'retired')
  }
  return catalogue
}

/** Lets the test say when a removal may begin. */
class Gate {
  readonly #waiting: (() => void)[] = []
  readonly pause = () => new Promise<void>((resolve) => this.#waiting.push(resolve))

  async open(): Promise<void> {
    await vi.waitFor(() => expect(this.#waiting).toHaveLength(1))
    this.#waiting.shift()?.()
    await new Promise((resolve) => setImmediate(resolve))
  }
}

test('in the background, each removal gives way to what comes first', async () => {
  const catalogue = retiredVolumes('a', 'b', 'c')
  const gate = new Gate()
  const garbage = new GarbageCollector({ catalogue, provisioner, log, pause: gate.pause })
  garbage.collectSoon()
  for (const left of [['b', 'c'], ['c'], []]) {
    await gate.open()
    expect(catalogue.volumes.list().map(({ id }) => id)).toEqual(left)
  }
})

test('once somebody waits for the collection, it gives way to nothing', async () => {
  const catalogue = retiredVolumes('a', 'b', 'c')
  const garbage = new GarbageCollector({ catalogue, provisioner, log, pause: new Gate().pause })
  garbage.collectSoon()
  await garbage.collect()
  expect(catalogue.volumes.list()).toEqual([])
})

test('two hundred deletions are one collection and one behind it', async () => {
  const catalogue = Catalogue.empty('lab')
  const retire = vi.fn(() => [])
  const garbage = new GarbageCollector({ catalogue, provisioner, log, retire })
  for (let n = 0; n < 200; n++) {
    catalogue.volumes.add(`v${n}`, 'clone')
    catalogue.volumes.setState(`v${n}`, 'retired')
    garbage.collectSoon()
  }
  await garbage.collect()
  expect(retire).toHaveBeenCalledTimes(2)
  expect(catalogue.volumes.list()).toEqual([])
})

test('what stands for others, or could not be removed, is not due; what is gone is told', async () => {
  const catalogue = retiredVolumes('kept', 'stuck', 'gone')
  catalogue.snapshots.add({
    ...{ id: 's', volumeId: 'kept', published: true, timestamp: '', createdAt: '', database: '', databases: [] },
    ...{ postgresVersion: 18, size: 0, cloneId: '', sample: false, message: '', tokenId: null, protected: false },
    ...{ maskVersion: '', superuser: '', hasPlanSettings: false },
  })
  catalogue.snapshots.setLive('s', { database: 'shop', databases: ['shop'], size: 0 })
  const destroyVolume = vi.fn(async (id: string) => {
    if (id === 'stuck') throw new Error('it is busy')
  })
  const garbage = new GarbageCollector({ catalogue, provisioner: { ...provisioner, destroyVolume }, log })
  const removed: string[] = []
  garbage.onRemoved((id) => removed.push(id))
  expect(garbage.due()).toEqual(['gone', 'stuck'])
  await garbage.collect()
  expect([garbage.due(), removed]).toEqual([[], ['gone']])
  destroyVolume.mockImplementation(async () => {})
  await garbage.collect()
  expect(removed).toEqual(['gone', 'stuck'])
  expect(catalogue.volumes.list().map(({ id }) => id)).toEqual(['kept'])
})

test('closing it ends after the removal that is under way', async () => {
  const catalogue = retiredVolumes('a', 'b')
  const { promise, resolve } = Promise.withResolvers<void>()
  const destroyVolume = vi.fn(() => promise)
  const garbage = new GarbageCollector({ catalogue, provisioner: { ...provisioner, destroyVolume }, log })
  garbage.collectSoon()
  await vi.waitFor(() => expect(destroyVolume).toHaveBeenCalled())
  const closed = garbage[Symbol.asyncDispose]()
  resolve()
  await closed
  expect(catalogue.volumes.list().map(({ id }) => id)).toEqual(['b'])
})
