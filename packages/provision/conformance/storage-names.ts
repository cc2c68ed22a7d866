import { describe, expect, test } from 'vitest'
import type { StorageDriver } from '../src/storage/driver.ts'
import type { OpenHarness } from './harness.ts'
import { expectError, makeSource, reopened, SOURCE, volumeIds } from './support.ts'

const BAD_IDS = [
  '',
  '-rf',
  '--help',
  '.',
  '..',
  '../x',
  '/x',
  'a/b',
  'a@b',
  'a%b',
  'a b',
  'A',
  'a_b',
  'é',
  'a\n',
  'a\0b',
  'a'.repeat(64),
  'a'.repeat(300),
]

/** Every call that takes an id, with this one in each place. */
function callsWith(driver: StorageDriver, id: string): (() => Promise<unknown>)[] {
  return [
    () => driver.createVolume(id),
    () => driver.clone(SOURCE, id),
    () => driver.clone({ volumeId: id, snapshotId: 'base' }, 'child'),
    () => driver.clone({ volumeId: 'source', snapshotId: id }, 'child'),
    () => driver.findVolume(id),
    () => driver.volumeUsage(id),
    () => driver.destroyVolume(id),
    () => driver.relabel(id, {}),
    () => driver.relabel({ volumeId: 'source', snapshotId: id }, {}),
    () => driver.snapshot(id, 'other'),
    () => driver.snapshot('source', id),
    () => driver.destroySnapshot({ volumeId: id, snapshotId: 'base' }),
    () => driver.destroySnapshot({ volumeId: 'source', snapshotId: id }),
  ]
}

export function namesAndLabels(open: OpenHarness): void {
  describe('ids and labels', () => {
    test('an id that is none is INVALID everywhere', async () => {
      await using world = await open()
      await makeSource(world.driver)
      for (const id of BAD_IDS) {
        for (const call of callsWith(world.driver, id)) await expectError(call(), 'INVALID')
      }
      expect(await world.content()).toEqual(['source', 'source@base'])
    })

    test('odd but sound ids work', async () => {
      await using world = await open()
      const ids = ['0', '1e9', 'a--', 'null', 'c'.repeat(63), 'volumes', 'label-json']
      for (const id of ids) {
        await world.driver.createVolume(id)
        await world.driver.snapshot(id, id)
        await world.driver.clone({ volumeId: id, snapshotId: id }, `z${id.slice(1)}z`.slice(0, 63))
      }
      expect(await volumeIds(world.driver)).toEqual(expect.arrayContaining(ids))
      expect(await world.driver.listSnapshots()).toHaveLength(ids.length)
    })

    test('an id in use is ALREADY_EXISTS and what has it stays', async () => {
      await using world = await open()
      await makeSource(world.driver)
      await world.driver.clone(SOURCE, 'child', { note: 'the first' })
      const before = await world.driver.listVolumes()
      await expectError(world.driver.createVolume('child'), 'ALREADY_EXISTS')
      await expectError(world.driver.createVolume('source'), 'ALREADY_EXISTS')
      await expectError(world.driver.clone(SOURCE, 'child', { note: 'the second' }), 'ALREADY_EXISTS')
      await expectError(world.driver.clone(SOURCE, 'source'), 'ALREADY_EXISTS')
      await expectError(world.driver.snapshot('source', 'base'), 'ALREADY_EXISTS')
      expect(await world.driver.listVolumes()).toEqual(before)
      expect(await world.content()).toEqual(['child', 'source', 'source@base'])
    })

    test('of several calls that make one id at once, one wins', async () => {
      await using world = await open()
      await makeSource(world.driver)
      const calls = ['first', 'second', 'third'].map((note) => world.driver.clone(SOURCE, 'child', { note }))
      const outcomes = await Promise.allSettled([...calls, world.driver.createVolume('child', { note: 'fourth' })])
      const won = outcomes.filter((outcome) => outcome.status === 'fulfilled')
      const lost = outcomes.filter((outcome) => outcome.status === 'rejected')
      expect(lost.map((outcome) => outcome.reason.code)).toEqual(Array(3).fill('ALREADY_EXISTS'))
      const [child] = (await world.driver.listVolumes()).filter((volume) => volume.id === 'child')
      expect(won.map((outcome) => outcome.value)).toEqual([child])
      expect(await world.content()).toEqual(['child', 'source', 'source@base'])
    })

    test('a snapshot that is cloned and destroyed at once is whole or gone', async () => {
      await using world = await open()
      for (const round of ['a', 'b', 'c', 'd']) {
        const ref = { volumeId: round, snapshotId: 'base' }
        await world.driver.createVolume(round)
        await world.driver.snapshot(round, 'base')
        await Promise.allSettled([world.driver.clone(ref, `${round}-clone`), world.driver.destroySnapshot(ref)])
        const cloned = (await volumeIds(world.driver)).includes(`${round}-clone`)
        if (cloned) await expectError(world.driver.destroySnapshot(ref), 'IN_USE', [`${round}-clone`])
        else await expectError(world.driver.clone(ref, `${round}-clone`), 'NOT_FOUND')
      }
    })

    test('labels come back as they went in', async () => {
      await using world = await open()
      const labels = {
        note: ' -x=y, "quoted" \'single\' \\ back\\nslash $HOME $(id) `id` %s ; | & 🐘 ünï ',
        empty: '',
        dash: '-',
        'data-state-at': '2026-01-02T03:04:05.678Z',
        constructor: 'of no object',
        long: 'ü'.repeat(1024),
      }
      await world.driver.createVolume('source', labels)
      await world.driver.snapshot('source', 'base', labels)
      await world.driver.clone(SOURCE, 'child', labels)
      const other = await reopened(world.config)
      for (const volume of await other.listVolumes()) expect(volume.labels).toEqual(labels)
      expect(await other.listSnapshots()).toEqual([{ ...SOURCE, labels }])
    })

    test('a clone and a snapshot have none of the labels of what they were made of', async () => {
      await using world = await open()
      await world.driver.createVolume('source', { note: 'of the volume' })
      await world.driver.snapshot('source', 'base')
      await world.driver.clone(SOURCE, 'child')
      expect(await world.driver.listSnapshots()).toEqual([{ ...SOURCE, labels: {} }])
      expect((await world.driver.listVolumes()).find((volume) => volume.id === 'child')?.labels).toEqual({})
    })

    test('other labels take the place of the old ones, of that volume or snapshot alone', async () => {
      await using world = await open()
      await world.driver.createVolume('source', { note: 'old', gone: 'x' })
      await world.driver.snapshot('source', 'base', { note: 'old' })
      await world.driver.clone(SOURCE, 'child', { note: 'old' })
      const labels = { note: ' new=1, "quoted" \\ 🐘', long: 'ü'.repeat(1024) }
      await world.driver.relabel('child', labels)
      await world.driver.relabel(SOURCE, { note: 'of the snapshot' })
      const other = await reopened(world.config)
      expect(await other.findVolume('child')).toMatchObject({ origin: SOURCE, labels })
      expect((await other.findVolume('child'))?.labels).toEqual(labels)
      expect((await other.findVolume('source'))?.labels).toEqual({ note: 'old', gone: 'x' })
      expect(await other.listSnapshots()).toEqual([{ ...SOURCE, labels: { note: 'of the snapshot' } }])
      expect(await world.content()).toEqual(['child', 'source', 'source@base'])
      await expectError(world.driver.relabel('child', { a: 'two\nlines' }), 'INVALID')
    })

    test('what is not there, foreign or another lab’s gets no labels', async () => {
      await using world = await open()
      await makeSource(world.driver)
      const foreign = await world.plantVolume('theirs')
      await (await reopened({ ...world.config, labId: 'other-lab' })).createVolume('other', { note: 'theirs' })
      for (const id of ['none', 'theirs', 'other']) await expectError(world.driver.relabel(id, { a: 'x' }), 'NOT_FOUND')
      await expectError(world.driver.relabel({ volumeId: 'source', snapshotId: 'none' }, {}), 'NOT_FOUND')
      await foreign.expectIntact()
      const others = await reopened({ ...world.config, labId: 'other-lab' })
      expect((await others.findVolume('other'))?.labels).toEqual({ note: 'theirs' })
    })

    test('what is labelled while it is destroyed is gone, and nothing of it is left', async () => {
      await using world = await open()
      await makeSource(world.driver)
      for (let round = 0; round < 8; round++) {
        const id = `child-${round}`
        await world.driver.clone(SOURCE, id)
        const [destroyed, labelled] = await Promise.allSettled([
          world.driver.destroyVolume(id),
          world.driver.relabel(id, { note: `${round}` }),
        ])
        expect(destroyed).toEqual({ status: 'fulfilled', value: undefined })
        if (labelled.status === 'rejected') expect(labelled.reason).toMatchObject({ code: 'NOT_FOUND' })
      }
      await expect.poll(() => world.content()).toEqual(['source', 'source@base'])
    })

    test('labels of another form are INVALID and make nothing', async () => {
      await using world = await open()
      await makeSource(world.driver)
      for (const labels of [{ 'Bad Key': 'x' }, { a: 'two\nlines' }, { a: 'tab\t' }, { a: 'x'.repeat(1025) }]) {
        await expectError(world.driver.createVolume('child', labels), 'INVALID')
        await expectError(world.driver.clone(SOURCE, 'child', labels), 'INVALID')
        await expectError(world.driver.snapshot('source', 'other', labels), 'INVALID')
      }
      expect(await world.content()).toEqual(['source', 'source@base'])
    })
  })
}
