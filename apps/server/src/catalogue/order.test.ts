import fc from 'fast-check'
import { expect, test } from 'vitest'
import { cloneRow, snapshotRow } from '../../test/support/rows.ts'
import { CloneStore } from './clones.ts'
import { createInMemory } from './database.ts'
import { SnapshotStore } from './snapshots.ts'
import { VolumeStore } from './volumes.ts'

// Some alike, so that what comes next decides.
const time = fc.constantFrom('2026-01-31T12:00:00.000Z', '2026-01-31T12:00:00.001Z', '2026-02-01T00:00:00.000Z')
const id = fc.stringMatching(/^[a-z0-9][a-z0-9-]{0,3}[a-z0-9]$/)

/** Different ones, each with what may stand beside its id. */
function some<T>(fields: { [K in keyof T]: fc.Arbitrary<T[K]> }) {
  return fc.uniqueArray(fc.record({ ...fields, id }), { selector: (one) => one.id, maxLength: 12 })
}

test("snapshots are listed with the newest data first, the sample's last, those of clones behind the lab's own", () => {
  const fields = { timestamp: time, createdAt: time, sample: fc.boolean(), cloneId: fc.constantFrom('', 'a', 'b') }
  fc.assert(
    fc.property(some(fields), (snapshots) => {
      const db = createInMemory('lab')
      new VolumeStore(db).add('base', 'base')
      const store = new SnapshotStore(db)
      for (const one of snapshots) store.restore(snapshotRow(one.id, one))
      const order = 'sample, timestamp DESC, clone_id, created_at DESC, id'
      expect(idsOf(new SnapshotStore(db).list())).toEqual(
        idsOf(db.prepare(`SELECT id FROM snapshots ORDER BY ${order}`).all()),
      )
    }),
  )
})

test('clones are listed from the oldest on, those of one moment by their ids', () => {
  fc.assert(
    fc.property(some({ createdAt: time }), (clones) => {
      const db = createInMemory('lab')
      new VolumeStore(db).add('base', 'base')
      new SnapshotStore(db).restore(snapshotRow('s'))
      const store = new CloneStore(db)
      for (const [at, one] of clones.entries()) store.add(cloneRow(at, one))
      expect(idsOf(new CloneStore(db).list())).toEqual(
        idsOf(db.prepare('SELECT id FROM clones ORDER BY created_at, id').all()),
      )
    }),
  )
})

function idsOf(rows: { id?: unknown }[]): unknown[] {
  return rows.map((row) => row.id)
}
