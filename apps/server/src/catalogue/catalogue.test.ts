import { copyFile, mkdtemp, readFile, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { expect, test } from 'vitest'
import { Catalogue } from './catalogue.ts'

async function directory() {
  const path = await mkdtemp(join(tmpdir(), 'dblab-catalogue-'))
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true }) }
}

/** What makes a catalogue of this schema one of the third. */
const TO_THIRD = `
  PRAGMA foreign_keys = OFF;
  DROP TABLE retrieval_runs;
  ALTER TABLE clones DROP COLUMN profile;
  ALTER TABLE clones DROP COLUMN steps;
  ALTER TABLE snapshots DROP COLUMN protected;
  ALTER TABLE snapshots DROP COLUMN mask_version;
  ALTER TABLE snapshots DROP COLUMN superuser;
  ALTER TABLE snapshots DROP COLUMN has_plan_settings;
  CREATE TABLE old_volumes (
    id TEXT PRIMARY KEY,
    role TEXT NOT NULL CHECK (role IN ('base', 'clone', 'scratch')),
    state TEXT NOT NULL CHECK (state IN ('pending', 'live', 'retired')),
    created_at TEXT NOT NULL,
    origin TEXT,
    data TEXT
  ) STRICT;
  INSERT INTO old_volumes SELECT * FROM volumes;
  DROP TABLE volumes;
  ALTER TABLE old_volumes RENAME TO volumes;
  DELETE FROM meta WHERE key = 'contents';
  PRAGMA user_version = 3;`

/** What makes a catalogue of this schema one of the second. */
const TO_SECOND = `${TO_THIRD}
  DROP TABLE tokens;
  ALTER TABLE clones DROP COLUMN token_id;
  ALTER TABLE snapshots DROP COLUMN token_id;
  DROP TABLE idempotency_keys;
  CREATE TABLE idempotency_keys (
    key TEXT PRIMARY KEY,
    request_hash TEXT NOT NULL,
    clone_id TEXT NOT NULL,
    created_at TEXT NOT NULL
  ) STRICT;
  PRAGMA user_version = 2;`

/** And that one of the first. */
const TO_FIRST = `
  ALTER TABLE volumes DROP COLUMN origin;
  ALTER TABLE volumes DROP COLUMN data;
  ALTER TABLE clones DROP COLUMN reset_failed_at;
  PRAGMA user_version = 1;`

test('a catalogue of the first schema is brought up to this one, with what it holds', async () => {
  await using place = await directory()
  const file = join(place.path, 'catalogue.db')
  const first = Catalogue.create(file, 'lab')
  first.volumes.add('base', 'base')
  first.close()
  const db = new DatabaseSync(file)
  db.exec(TO_SECOND + TO_FIRST)
  await rm(`${file}-seal`)
  db.close()
  const second = Catalogue.open(file, 'lab', 0)
  expect(second.volumes.list()).toEqual([expect.objectContaining({ id: 'base', origin: null, data: null })])
  expect(second.clones.list()).toEqual([])
  expect(second.tokens.list()).toEqual([])
  second.close()
  Catalogue.open(file, 'lab', 0).close()
})

test('a catalogue of the third schema keeps what stands on its volumes, and takes a standby from then on', async () => {
  await using place = await directory()
  const file = join(place.path, 'catalogue.db')
  Catalogue.create(file, 'lab').close()
  const db = new DatabaseSync(file)
  db.exec(TO_THIRD)
  const now = new Date().toISOString()
  db.exec(`
    INSERT INTO volumes (id, role, state, created_at) VALUES ('base', 'base', 'live', '${now}');
    INSERT INTO snapshots (id, volume_id, state, published, timestamp, created_at, database, databases, postgres_version, size,
      clone_id, sample, message) VALUES ('s', 'base', 'live', 1, '${now}', '${now}', 'shop', '["shop"]', 18, 1, '', 0, '');`)
  await rm(`${file}-seal`)
  db.close()
  const catalogue = Catalogue.open(file, 'lab', 0)
  expect(catalogue.snapshots.get('s')).toMatchObject({
    volumeId: 'base',
    protected: false,
    maskVersion: '',
    hasPlanSettings: false,
  })
  catalogue.volumes.add('standby', 'standby')
  expect(catalogue.runs.list()).toEqual([])
  // The reference still holds.
  expect(() => catalogue.volumes.delete('base')).toThrow('FOREIGN KEY')
  catalogue.close()
  Catalogue.open(file, 'lab', 0).close()
})

test('a catalogue of the second schema keeps its clones, snapshots and keys, as the first token made them', async () => {
  await using place = await directory()
  const file = join(place.path, 'catalogue.db')
  Catalogue.create(file, 'lab').close()
  const db = new DatabaseSync(file)
  db.exec(TO_SECOND)
  const now = new Date().toISOString()
  db.exec(`
    INSERT INTO volumes (id, role, state, created_at) VALUES ('base', 'base', 'live', '${now}');
    INSERT INTO snapshots (id, volume_id, state, published, timestamp, created_at, database, databases, postgres_version, size,
      clone_id, sample, message) VALUES ('s', 'base', 'live', 1, '${now}', '${now}', 'shop', '["shop"]', 18, 1, 'old', 0, '');
    INSERT INTO clones (id, status, message, project, name, username, protected, created_at, snapshot_id, port, db_username, db_name,
      verifier, size, cloning_seconds, last_used_at)
      VALUES ('old', 'OK', '', '', '', '', 0, '${now}', 's', 16000, 'alice', 'shop', '', 0, 1, '${now}');
    INSERT INTO idempotency_keys (key, request_hash, clone_id, created_at) VALUES ('key', 'hash', 'old', '${now}');`)
  await rm(`${file}-seal`)
  db.close()
  const catalogue = Catalogue.open(file, 'lab', 0)
  expect(catalogue.clones.get('old')).toMatchObject({ id: 'old', tokenId: null })
  expect(catalogue.snapshots.get('s')).toMatchObject({ id: 's', tokenId: null })
  expect(catalogue.idempotency.get({ tokenId: null, key: 'key' })).toEqual({ requestHash: 'hash', cloneId: 'old' })
  expect(catalogue.idempotency.get({ tokenId: 'another', key: 'key' })).toBeUndefined()
  catalogue.idempotency.add({ tokenId: 'another', key: 'key' }, 'other hash', 'other')
  expect(catalogue.idempotency.get({ tokenId: null, key: 'key' })?.cloneId).toBe('old')
  catalogue.close()
})

test('the reserve is given up once, for work that must be done on a full disk, and made again', async () => {
  await using place = await directory()
  const file = join(place.path, 'catalogue.db')
  const catalogue = Catalogue.create(file, 'lab')
  const reserve = () =>
    stat(`${file}-reserve`).then(
      ({ size, blocks }) => (blocks * 512 >= size ? size : 'sparse'),
      () => undefined,
    )
  await catalogue.keepReserve(place.path)
  expect(await reserve()).toBe(4 * 1024 * 1024)
  let attempts = 0
  const work = () => {
    attempts++
    if (attempts === 1) throw Object.assign(new Error('full'), { code: 'ERR_SQLITE_ERROR', errcode: 13 })
    return 'done'
  }
  expect(catalogue.evenIfFull(work)).toBe('done')
  expect(await reserve()).toBeUndefined()
  await catalogue.keepReserve(place.path)
  expect(await reserve()).toBe(4 * 1024 * 1024)
  expect(() => catalogue.evenIfFull(() => catalogue.volumes.add('a', 'base'))).not.toThrow()
  expect(() => catalogue.evenIfFull(() => catalogue.volumes.add('a', 'base'))).toThrow('UNIQUE')
  expect(await reserve()).toBe(4 * 1024 * 1024)
  catalogue.close()
})

test('what is committed aside is there at once, sealed once it is flushed, and survives a kill', async () => {
  await using place = await directory()
  const file = join(place.path, 'catalogue.db')
  const catalogue = Catalogue.create(file, 'lab')
  const sealBefore = await readFile(`${file}-seal`)
  catalogue.aside(() => catalogue.volumes.add('one', 'base'))
  expect(catalogue.volumes.list().map(({ id }) => id)).toEqual(['one'])
  expect(await readFile(`${file}-seal`)).toEqual(sealBefore)
  const killed = join(place.path, 'killed.db')
  for (const suffix of ['', '-wal', '-seal']) await copyFile(file + suffix, killed + suffix)
  const again = Catalogue.open(killed, 'lab', 0)
  expect(again.volumes.list().map(({ id }) => id)).toEqual(['one'])
  again.close()

  await Promise.all([catalogue.flushed(), catalogue.flushed()])
  expect(await readFile(`${file}-seal`)).not.toEqual(sealBefore)
  const flushed = await readFile(`${file}-seal`)
  await catalogue.flushed()
  expect(await readFile(`${file}-seal`)).toEqual(flushed)
  catalogue.volumes.add('two', 'base')
  expect(await readFile(`${file}-seal`)).not.toEqual(flushed)
  catalogue.close()
  // The log without what was sealed is one that lost something.
  for (const suffix of ['', '-seal']) await copyFile(file + suffix, killed + suffix)
  await rm(`${killed}-wal`, { force: true })
  const closed = Catalogue.open(killed, 'lab', 0)
  expect(closed.volumes.list()).toHaveLength(2)
  closed.close()
})

test('a flush that is asked for while the catalogue is closed, or after, is done', async () => {
  await using place = await directory()
  const catalogue = Catalogue.create(join(place.path, 'catalogue.db'), 'lab')
  catalogue.aside(() => catalogue.volumes.add('one', 'base'))
  const flushed = catalogue.flushed()
  catalogue.close()
  await flushed
  await catalogue.flushed()
  const again = Catalogue.open(join(place.path, 'catalogue.db'), 'lab', 0)
  expect(again.volumes.list()).toHaveLength(1)
  again.close()
})
