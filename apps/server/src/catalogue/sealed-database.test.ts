import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { type Contents, Seal } from './seal.ts'
import { SealedDatabase } from './sealed-database.ts'

/** One whose disk fails as often as it is told to. */
class FailingSeal extends Seal {
  failures = 0

  override async writeAside(contents: Contents): Promise<void> {
    if (this.failures-- > 0) throw Object.assign(new Error('EIO, fdatasync'), { code: 'EIO', syscall: 'fdatasync' })
    await super.writeAside(contents)
  }
}

test('a seal that could not be written is told once, and written with the next', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'sealed-'))
  onTestFinished(() => rm(directory, { recursive: true }))
  const file = join(directory, 'catalogue.db')
  const seal = new FailingSeal(`${file}-seal`)
  const db = new SealedDatabase(file, seal)
  db.exec('PRAGMA journal_mode = WAL; CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT')
  db.watch()
  const first = seal.read()?.changes ?? 0n
  const add = (key: string) => db.aside(() => db.exec(`INSERT INTO meta VALUES ('${key}', '')`))

  seal.failures = 1
  add('one')
  // Nobody waits for the seal.
  await db.flush()
  add('two')
  await expect(db.flush()).rejects.toMatchObject({ code: 'EIO' })
  expect(seal.read()?.changes).toBe(first)

  await db.flush()
  add('three')
  await db.flush()
  add('four')
  await db.flush()
  expect(seal.read()?.changes).toBeGreaterThan(first)
  expect(db.findDamage()).toBeUndefined()
  db.close()
})
