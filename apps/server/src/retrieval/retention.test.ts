import { expect, test } from 'vitest'
import { Catalogue } from '../catalogue/catalogue.ts'
import { applyRetention } from './retention.ts'

const DAY_MS = 86_400_000
const now = Date.parse('2026-06-10T00:00:00.000Z')

/** A catalogue with a generation of each of these ages, in days. */
function generations(...ages: { days: number; masked?: boolean; cloneId?: string; kept?: boolean }[]): Catalogue {
  const catalogue = Catalogue.empty('lab')
  for (const [number, { days, masked = false, cloneId = '', kept = false }] of ages.entries()) {
    const [id, volumeId] = [`s${number}`, `v${number}`]
    const timestamp = new Date(now - days * DAY_MS).toISOString()
    catalogue.volumes.add(volumeId, 'base')
    catalogue.snapshots.add({
      ...{ id, volumeId, published: true, timestamp, createdAt: timestamp, database: 'shop', databases: ['shop'] },
      ...{
        postgresVersion: 18,
        size: 1,
        cloneId,
        sample: false,
        message: '',
        tokenId: null,
        superuser: '',
        hasPlanSettings: false,
      },
      ...{ protected: kept, maskVersion: masked ? 'abc' : '' },
    })
    catalogue.snapshots.setLive(id, { database: 'shop', databases: ['shop'], size: 1 })
  }
  return catalogue
}

const all = { count: 100, days: undefined, masked: false }

test('the newest generations stay, by number and by age, and the newest of all in any case', () => {
  const ages = [{ days: 30 }, { days: 20 }, { days: 10 }]
  expect(applyRetention(generations(...ages), all, now)).toEqual([])
  expect(applyRetention(generations(...ages), { ...all, count: 2 }, now)).toEqual(['s0'])
  expect(applyRetention(generations(...ages), { ...all, days: 15 }, now)).toEqual(['s1', 's0'])
  expect(applyRetention(generations(...ages), { count: 1, days: 1, masked: false }, now)).toEqual(['s1', 's0'])
})

test('the generation that was made last stays, though its data is older', () => {
  const catalogue = generations({ days: 1 }, { days: 2 })
  const older = new Date(now + DAY_MS).toISOString()
  catalogue.snapshots.delete('s1')
  catalogue.snapshots.add({
    ...{ id: 's1', volumeId: 'v1', published: true, timestamp: '2026-06-08T00:00:00.000Z', createdAt: older },
    ...{ database: 'shop', databases: ['shop'], postgresVersion: 18, size: 1, cloneId: '', sample: false, message: '' },
    ...{ tokenId: null, superuser: '', protected: false, maskVersion: '', hasPlanSettings: false },
  })
  catalogue.snapshots.setLive('s1', { database: 'shop', databases: ['shop'], size: 1 })
  expect(applyRetention(catalogue, { ...all, count: 1 }, now)).toEqual([])
})

test('what is protected stays, and what was taken of a clone is not counted', () => {
  const catalogue = generations({ days: 3, kept: true }, { days: 2 }, { days: 1, cloneId: 'ann' }, { days: 0 })
  expect(applyRetention(catalogue, { ...all, count: 1 }, now)).toEqual(['s1'])
})

test('where data is to be masked, what was not comes last, however new it is', () => {
  const catalogue = generations({ days: 3, masked: true }, { days: 2, masked: true }, { days: 1 })
  expect(applyRetention(catalogue, { ...all, count: 2, masked: true }, now)).toEqual(['s2'])
})
