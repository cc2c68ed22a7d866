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
  const garbage = new GarbageCollector(catalogue, provisioner, log)
  vi.spyOn(catalogue.volumes, 'setState').mockImplementationOnce(() => {
    throw new Error('database or disk is full')
  })
  await Promise.all([garbage.collect(), garbage.collect()])
  await garbage.collect()
  expect(catalogue.volumes.list()).toEqual([])
})

test('one that fails for good fails for who asked for it, and for nobody later', async () => {
  const catalogue = Catalogue.empty('lab')
  const garbage = new GarbageCollector(catalogue, provisioner, log)
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
  const garbage = new GarbageCollector(catalogue, provisioner, log, () => retiring.shift()?.() ?? [])
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
