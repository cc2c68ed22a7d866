import { mkdtemp, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { expect, test } from 'vitest'
import { Catalogue } from './catalogue.ts'

async function directory() {
  const path = await mkdtemp(join(tmpdir(), 'dblab-catalogue-'))
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true }) }
}

test('a catalogue of the schema before is brought up to this one, with what it holds', async () => {
  await using place = await directory()
  const file = join(place.path, 'catalogue.db')
  const first = Catalogue.create(file, 'lab')
  first.volumes.add('base', 'base')
  first.close()
  const db = new DatabaseSync(file)
  db.exec(`ALTER TABLE volumes DROP COLUMN origin; ALTER TABLE volumes DROP COLUMN data;
    ALTER TABLE clones DROP COLUMN reset_failed_at; PRAGMA user_version = 1`)
  db.close()
  const second = Catalogue.open(file, 'lab', 0)
  expect(second.volumes.list()).toEqual([expect.objectContaining({ id: 'base', origin: null, data: null })])
  expect(second.clones.list()).toEqual([])
  second.close()
  Catalogue.open(file, 'lab', 0).close()
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
