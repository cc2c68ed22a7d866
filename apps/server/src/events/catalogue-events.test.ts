import { setImmediate as turn } from 'node:timers/promises'
import type { LabEvent } from '@dblab/models'
import { beforeEach, describe, expect, test } from 'vitest'
import { createLogger, transports } from 'winston'
import { Catalogue } from '../catalogue/catalogue.ts'
import type { CloneRecord } from '../catalogue/clones.ts'
import { toClone } from '../cloning/view.ts'
import { CatalogueEvents } from './catalogue-events.ts'
import { EventHub, type Told } from './event-hub.ts'

const log = createLogger({ silent: true, transports: [new transports.Console()] })
const NOW = '2026-01-31T12:00:00.000Z'

let catalogue: Catalogue
let hub: EventHub
let changes: CatalogueEvents
let down: string | undefined
let failure: Error | undefined
let heard: number

function viewOf(id: string) {
  if (failure) throw failure
  const record = catalogue.clones.get(id)
  if (!record) throw new Error(`no clone ${id}`)
  const now = { starting: false, down, queuePosition: 0, diskQuota: undefined }
  return toClone(record, { publicHost: 'lab', tls: false }, now)
}

beforeEach(() => begin())

/** @param there what there is before anybody tells of it */
function begin(there: CloneRecord[] = []): void {
  catalogue = Catalogue.empty('lab')
  catalogue.volumes.add('base', 'base', null)
  addSnapshot('s1', true)
  for (const clone of there) catalogue.clones.add(clone)
  hub = new EventHub()
  down = failure = undefined
  heard = 0
  changes = new CatalogueEvents({ catalogue, viewOf, hub, log })
}

function addSnapshot(id: string, published: boolean, cloneId = ''): void {
  const facts = { database: 'shop', databases: ['shop'], postgresVersion: 18, size: 1, sample: false, message: '' }
  const times = { timestamp: NOW, createdAt: NOW }
  const unmarked = { protected: false, maskVersion: '', superuser: '', hasPlanSettings: false }
  catalogue.snapshots.add({ ...facts, ...times, id, volumeId: 'base', published, cloneId, tokenId: null, ...unmarked })
  catalogue.snapshots.setLive(id, facts)
}

function record(id: string, fields: Partial<CloneRecord> = {}): CloneRecord {
  return {
    ...{ id, status: 'CREATING', message: 'm', project: '', name: '', username: '', protected: false, deleteAt: null },
    ...{ createdAt: NOW, snapshotId: 's1', resetTo: null, volumeId: null, port: 6000 + id.length, dbUsername: 'alice' },
    ...{
      dbName: 'shop',
      verifier: 'v',
      size: 0,
      cloningSeconds: 0,
      lastUsedAt: NOW,
      unsafeBootId: null,
      profile: 'dev' as const,
      steps: [],
    },
    ...{ resetFailedAt: null, tokenId: null, ...fields },
  }
}

/** What was told since it was asked last. */
async function told(): Promise<(Told & { event: LabEvent })[]> {
  await turn()
  const events: (Told & { event: LabEvent })[] = []
  for (let one = hub.next(heard); one; one = hub.next(one.number)) {
    events.push({ ...one, event: JSON.parse(one.frame.split('data: ')[1] ?? '') })
  }
  heard = hub.last
  return events
}

const brief = ({ event: { type, action, subject, clone, snapshot } }: { event: LabEvent }) =>
  `${type} ${subject} ${clone?.status.code ?? snapshot?.numClones ?? action}`

describe('of a clone', () => {
  test('it is told when it is made, changed and deleted, with its snapshot whose number of clones changes', async () => {
    catalogue.clones.add(record('c', { tokenId: 't' }))
    expect((await told()).map(brief)).toEqual(['clone c CREATING', 'snapshot s1 1'])
    catalogue.clones.update('c', { status: 'OK' })
    const [changed, ...rest] = await told()
    expect(rest).toEqual([])
    expect(changed).toMatchObject({ owner: 't', clone: 'c', event: { action: 'changed', clone: viewOf('c') } })
    catalogue.clones.delete('c')
    const gone = await told()
    expect(gone.map(brief)).toEqual(['clone c deleted', 'snapshot s1 0'])
    expect(gone[0]).toMatchObject({ owner: 't', clone: 'c' })
    expect(gone[0]?.event).not.toHaveProperty('clone')
  })

  test('several writes in one go are one event, of how it is at their end', async () => {
    catalogue.transaction(() => {
      catalogue.clones.add(record('c'))
      catalogue.clones.update('c', { status: 'OK', name: 'first' })
    })
    catalogue.clones.update('c', { name: 'second' })
    const events = (await told()).filter(({ type }) => type === 'clone')
    expect(events.map(({ event }) => event.clone?.name)).toEqual(['second'])
  })

  test('nothing is told of a write that was rolled back, nor of one that changes nothing that is shown', async () => {
    catalogue.clones.add(record('c'))
    await told()
    expect(() =>
      catalogue.transaction(() => {
        catalogue.clones.update('c', { name: 'never' })
        catalogue.clones.add(record('other'))
        throw new Error('no')
      }),
    ).toThrow('no')
    catalogue.clones.update('c', { lastUsedAt: '2027-01-01T00:00:00.000Z' })
    catalogue.clones.update('c', { name: '' })
    expect(await told()).toEqual([])
  })

  test('a reset to another snapshot is told of both', async () => {
    addSnapshot('s2', true)
    catalogue.clones.add(record('c', { status: 'OK' }))
    await told()
    catalogue.clones.update('c', { status: 'RESETTING', resetTo: 's2' })
    expect((await told()).map(brief)).toEqual(['clone c RESETTING', 'snapshot s2 1'])
    catalogue.clones.update('c', { status: 'OK', resetTo: null, snapshotId: 's2' })
    expect((await told()).map(brief)).toEqual(['clone c OK', 'snapshot s1 0'])
  })

  test('one that takes the name of another in the same moment is told as two, each to its own', async () => {
    catalogue.clones.add(record('c', { tokenId: 'mine' }))
    await told()
    catalogue.clones.delete('c')
    catalogue.clones.add(record('c', { tokenId: 'theirs', createdAt: '2026-02-01T00:00:00.000Z' }))
    const events = (await told()).filter(({ type }) => type === 'clone')
    expect(events.map(({ owner, event }) => [owner, event.action])).toEqual([
      ['mine', 'deleted'],
      ['theirs', 'changed'],
    ])
  })

  test('what is in no row is told once somebody says that it may have changed', async () => {
    catalogue.clones.add(record('c', { status: 'OK' }))
    await told()
    changes.mayHaveChanged('c')
    expect(await told()).toEqual([])
    down = 'it fell over'
    changes.mayHaveChanged('c')
    expect((await told()).map(brief)).toEqual(['clone c FATAL'])
  })

  test('one that was there before is known, so that its end is told to whom it belongs', async () => {
    begin([record('old', { tokenId: 't' })])
    expect(await told()).toEqual([])
    catalogue.clones.delete('old')
    expect((await told()).map(({ owner, event }) => [owner, event.action])).toEqual([
      ['t', 'deleted'],
      [undefined, 'changed'],
    ])
  })
})

describe('of a snapshot', () => {
  test('it is told once it can be cloned, and when it is not any more', async () => {
    addSnapshot('s2', true, 'of-clone')
    const [made] = await told()
    expect(made).toMatchObject({ clone: 'of-clone', event: { type: 'snapshot', snapshot: { id: 's2', numClones: 0 } } })
    catalogue.snapshots.setState('s2', 'retired')
    expect((await told()).map(({ clone, event }) => [clone, event.subject, event.action])).toEqual([
      ['of-clone', 's2', 'deleted'],
    ])
    catalogue.snapshots.delete('s2')
    expect(await told()).toEqual([])
  })

  test('nothing is told of one that no user sees', async () => {
    addSnapshot('inner', false)
    catalogue.snapshots.setState('inner', 'retired')
    expect(await told()).toEqual([])
  })
})

test('what can not be read is told as a loss, and once it can be with the next change', async () => {
  for (const id of ['c', 'second']) catalogue.clones.add(record(id))
  await told()
  failure = new Error('the disk is gone')
  catalogue.clones.update('c', { name: 'unseen' })
  await turn()
  expect(hub.hasLost(heard)).toBe(true)
  failure = undefined
  heard = hub.last
  catalogue.clones.update('second', { name: 'seen' })
  expect((await told()).map(({ event }) => event.clone?.name)).toEqual(['unseen', 'seen'])
})
