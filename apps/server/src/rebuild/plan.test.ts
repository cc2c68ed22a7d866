import type { Labels } from '@dblab/provision'
import { expect, test } from 'vitest'
import type { CloneRecord } from '../catalogue/clones.ts'
import { baseLabels, cloneLabels, snapshotLabels } from '../labels.ts'
import type { Found, FoundLogin, FoundSnapshot, FoundVolume } from './find.ts'
import { plan } from './plan.ts'

const NOW = '2026-02-02T00:00:00.000Z'
const DATA = {
  database: 'shop',
  databases: ['shop', 'other'],
  postgresVersion: 18,
  timestamp: '2026-01-01T00:00:00.000Z',
  sample: true,
  hasPlanSettings: true,
}
const THERE: FoundLogin = { kind: 'there', verifier: 'the verifier' }
const ORIGIN = { volumeId: 'base', snapshotId: 'first' }

function volume(id: string, labels: Labels, over: Partial<FoundVolume> = {}): FoundVolume {
  const rest = { origin: undefined, running: false, port: undefined, postgresVersion: 18, lostWrites: false }
  return { id, labels, login: undefined, ...rest, ...over }
}

function clone(id: string, over: Partial<CloneRecord> = {}): CloneRecord {
  const texts = { message: '', project: 'p', name: 'n', username: 'u', createdAt: DATA.timestamp, verifier: '' }
  const nothing = {
    deleteAt: null,
    resetTo: null,
    volumeId: null,
    unsafeBootId: null,
    profile: 'dev' as const,
    steps: [],
    resetFailedAt: null,
    tokenId: null,
  }
  const login = { dbUsername: 'alice', dbName: 'shop', port: 5000, size: 0, cloningSeconds: 1.5, lastUsedAt: NOW }
  return { id, status: 'OK', protected: false, snapshotId: 'first', ...texts, ...nothing, ...login, ...over }
}

function volumeOf(
  id: string,
  record: CloneRecord,
  {
    state = 'live',
    madeAt = DATA.timestamp,
    ...over
  }: { state?: 'live' | 'pending' | 'retired'; madeAt?: string } & Partial<FoundVolume> = {},
): FoundVolume {
  const labels = cloneLabels(record, DATA, { state, createdAt: madeAt })
  return volume(id, labels, { origin: ORIGIN, login: THERE, ...over })
}

const base = volume('base', baseLabels(DATA, { state: 'live', createdAt: DATA.timestamp }))
const first: FoundSnapshot = {
  ...ORIGIN,
  labels: snapshotLabels('base', { ...DATA, message: 'the first', createdAt: DATA.timestamp }),
  size: 7,
}

function planOf(volumes: FoundVolume[], snapshots: FoundSnapshot[] = [first]) {
  return plan({ volumes: [base, ...volumes], snapshots } satisfies Found, NOW)
}

test('what is labelled whole comes back as it was', () => {
  const record = clone('ann', { protected: true, deleteAt: '2027-01-01T00:00:00.000Z', name: 'a\nb' })
  const { volumes, snapshots, clones, notes } = planOf([volumeOf('v1', record)])
  expect(notes).toEqual([])
  expect(clones).toEqual([
    expect.objectContaining({
      ...record,
      volumeId: 'v1',
      message: 'Database is ready',
      verifier: 'the verifier',
    }),
  ])
  expect(volumes).toContainEqual(expect.objectContaining({ id: 'base', role: 'base', state: 'live', data: DATA }))
  expect(volumes).toContainEqual(expect.objectContaining({ id: 'v1', role: 'clone', state: 'live', origin: 'first' }))
  expect(snapshots).toEqual([
    expect.objectContaining({
      ...DATA,
      ...{ id: 'first', volumeId: 'base' },
      state: 'live',
      published: true,
      size: 7,
      message: 'the first',
    }),
  ])
})

test('of a reset that was cut off nothing is lost: the newest that was ready is the clone, the other one another', () => {
  const record = clone('ann', { status: 'RESETTING' })
  const old = volumeOf('v-old', record)
  const newer = volumeOf('v-new', record, { state: 'pending', madeAt: NOW })
  const { clones, volumes } = planOf([old, newer])
  expect(clones.map(({ id, volumeId, port }) => [id, volumeId, port])).toEqual([
    ['ann', 'v-new', 5000],
    ['ann-v-old', 'v-old', null],
  ])
  expect(clones.map((each) => each.protected)).toEqual([true, true])
  expect(clones[1]?.message).toMatch(/other data of the clone ann/)
  expect(volumes.filter(({ role }) => role === 'clone').map(({ state }) => state)).toEqual(['live', 'live'])
})

test('the one that runs is the clone, whichever is newer', () => {
  const record = clone('ann')
  const old = volumeOf('v-old', record, { running: true, port: 5001 })
  const { clones } = planOf([old, volumeOf('v-new', record, { state: 'pending', madeAt: NOW })])
  expect(clones[0]).toMatchObject({ id: 'ann', volumeId: 'v-old', port: 5001 })
})

test('where both run, the clone is the one that was ready', () => {
  const record = clone('ann')
  const old = volumeOf('v-old', record, { running: true, port: 5000 })
  const { clones } = planOf([volumeOf('v-new', record, { running: true, state: 'pending', madeAt: NOW }), old])
  expect(clones.map(({ volumeId, port }) => [volumeId, port])).toEqual([
    ['v-old', 5000],
    ['v-new', null],
  ])
})

test('what nobody has ever been in, and what was retired, is nobody’s', () => {
  const record = clone('ann')
  const { clones, volumes, notes } = planOf([
    volumeOf('v-half', record, { state: 'pending', login: { kind: 'missing' } }),
    volumeOf('v-retired', record, { state: 'retired', login: undefined }),
    volume('scratch', { role: 'scratch' }),
    volume('half-base', { role: 'base', state: 'pending' }),
  ])
  expect(clones).toEqual([])
  expect(notes).toEqual([])
  expect(volumes.filter(({ id }) => id !== 'base').map(({ state }) => state)).toEqual(Array(4).fill('retired'))
})

test('what says too little of itself is left out, so that nothing removes it', () => {
  const internal = { volumeId: 'v1', snapshotId: 'inner', labels: snapshotLabels('internal', DATA), size: 0 }
  const strange = { volumeId: 'base', snapshotId: 'strange', labels: {}, size: 0 }
  const { volumes, snapshots, notes } = planOf(
    [
      volumeOf('v1', clone('ann')),
      volume('odd', {}),
      volume('old-base', { role: 'base' }),
      volume('old-clone', { role: 'clone', clone: 'x' }),
    ],
    [first, internal, strange],
  )
  expect(volumes.map(({ id }) => id).sort()).toEqual(['base', 'v1'])
  expect(snapshots.map(({ id, state, published }) => [id, state, published])).toEqual([
    ['first', 'live', true],
    ['inner', 'retired', false],
  ])
  expect(notes).toHaveLength(4)
})

test('a clone is not held back by what can’t be read, nor by a snapshot that is gone', () => {
  const broken = volumeOf('v1', clone('ann'), { login: { kind: 'unreadable', why: 'It panics.' } })
  const { clones, snapshots, volumes } = planOf([broken], [])
  expect(clones[0]).toMatchObject({ id: 'ann', status: 'OK', verifier: '', protected: true })
  expect(clones[0]?.message).toMatch(/It panics\./)
  expect(snapshots).toEqual([expect.objectContaining({ id: 'first', state: 'retired', volumeId: 'base' })])
  expect(volumes.map(({ id }) => id).sort()).toEqual(['base', 'v1'])
})

test('a clone that lost its writes stays FATAL', () => {
  const lost = volumeOf('v1', clone('ann', { unsafeBootId: 'another boot' }), { lostWrites: true })
  expect(planOf([lost]).clones[0]).toMatchObject({ status: 'FATAL', message: expect.stringMatching(/fsync=off/) })
})

test('two clones that name one port do not both get it', () => {
  const { clones } = planOf([volumeOf('v1', clone('ann')), volumeOf('v2', clone('ben'))])
  expect(clones.map(({ port }) => port)).toEqual([5000, null])
})
