import type { Catalogue } from '../../src/catalogue/catalogue.ts'
import type { CloneRecord } from '../../src/catalogue/clones.ts'
import type { SnapshotRecord } from '../../src/catalogue/snapshots.ts'

const START = Date.UTC(2026, 0, 31, 12)

/** A clone that is ready, made so many seconds after the first, with a port of its own. */
export function cloneRow(number: number, fields: Partial<CloneRecord> = {}): CloneRecord {
  const createdAt = new Date(START + number * 1000).toISOString()
  return {
    ...{ id: `clone-${String(number).padStart(5, '0')}`, createdAt, lastUsedAt: createdAt, port: 20_000 + number },
    ...{ status: 'OK', message: 'Database is ready', project: 'shop', name: `build ${number}`, username: 'alice' },
    ...{ protected: false, deleteAt: null, snapshotId: 's', resetTo: null, volumeId: null, size: 4096 * number },
    ...{ dbUsername: 'alice', dbName: 'shop', verifier: 'SCRAM-SHA-256$4096:c2FsdA==$c3RvcmVk:c2VydmVy' },
    ...{ cloningSeconds: 0.25, unsafeBootId: null, resetFailedAt: null, tokenId: null, profile: 'dev', steps: [] },
    ...fields,
  }
}

export function snapshotRow(id: string, fields: Partial<SnapshotRecord> = {}): SnapshotRecord {
  const time = new Date(START).toISOString()
  return {
    ...{ id, volumeId: 'base', state: 'live', published: true, timestamp: time, createdAt: time, database: 'shop' },
    ...{ databases: ['shop'], postgresVersion: 18, size: 1, cloneId: '', sample: false, message: '', tokenId: null },
    ...{ protected: false, maskVersion: '', superuser: '', hasPlanSettings: false },
    ...fields,
  }
}

/** The volume and the snapshot that these clones stand on. */
export function addBase(catalogue: Catalogue): void {
  catalogue.volumes.add('base', 'base')
  catalogue.snapshots.restore(snapshotRow('s'))
}
