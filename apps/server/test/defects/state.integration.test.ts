import { existsSync } from 'node:fs'
import { readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import type { Clone, Snapshot } from '@dblab/models'
import { isRoot } from '@dblab/provision/testbed'
import { describe, expect, test } from 'vitest'
import { createClone, LOGIN, urlOf } from '../support/clones.ts'
import { TestLab } from '../support/lab.ts'
import { leftovers } from '../support/leftovers.ts'
import { openSession, query } from '../support/sql.ts'
import { expectNothingLeft, settled, statusOf } from '../support/whole.ts'

const driver = isRoot ? 'btrfs' : 'copy'

/** Defects that others of this kind have, in what a lab remembers and how it begins. docs/reliability.md lists all of them. */
describe('what a lab remembers', { timeout: 180_000 }, () => {
  test('defect 1: an unreadable catalogue destroys nothing, not even what is not protected', async () => {
    await using lab = await TestLab.make({ driver })
    await lab.start()
    const clones = [
      await createClone(lab, { id: 'survivor' }),
      await createClone(lab, { id: 'protected', protected: true }),
    ]
    // A stop in good order leaves the whole catalogue in its one file.
    await lab.interrupt()
    const file = join(lab.directory, '.dblab/catalogue.db')
    const whole = await readFile(file)
    const before = await leftovers(lab.directory)
    const torn = [
      Buffer.alloc(0),
      whole.subarray(0, 10),
      whole.subarray(0, 5000),
      Buffer.alloc(whole.length),
      Buffer.from('no database'),
      undefined,
    ]
    for (const content of torn) {
      if (content) await writeFile(file, content)
      else await rm(file)
      await lab.start()
      await expectLost(lab, clones)
      await lab.interrupt()
      expect(existsSync(file) ? await readFile(file) : undefined).toEqual(content)
      expect(await leftovers(lab.directory)).toEqual(before)
    }
    await writeFile(file, whole)
    await lab.start()
    expect((await statusOf(lab)).status).toEqual({ code: 'OK', message: 'DB Lab is ready' })
    expect((await settled(lab)).map(({ status }) => status.code)).toEqual(['OK', 'OK'])
  })

  test('defect 2: a crash in the middle of a creation leaks nothing', async () => {
    await using lab = await TestLab.make({ driver })
    await lab.start()
    // At each step of a creation, and some between them.
    for (const pause of [0, 10, 25, 50, 100, 200]) {
      const ids = ['a', 'b', 'c'].map((name) => `${name}-${pause}`)
      // Those that the kill cuts off have no answer.
      const asked = Promise.allSettled(
        ids.map((id) => lab.fetch('/clone', { method: 'POST', json: { id, db: LOGIN } })),
      )
      await delay(pause)
      await lab.kill()
      await asked
      await lab.start()
      const clones = await settled(lab)
      expect(clones.map(({ status: { code } }) => code)).toEqual(clones.map(() => 'OK'))
      await expectNothingLeft(lab, clones)
    }
  })

  test('defect 10: no password of a clone lies in the state of the lab, which only its account can read', async () => {
    await using lab = await TestLab.make({ driver })
    await lab.start()
    await createClone(lab, { id: 'secret' })
    await lab.fetch('/clone/secret/reset?wait=60', { method: 'POST' })
    const data = join(lab.directory, '.dblab')
    const entries = await readdir(data, { withFileTypes: true })
    // What is in the pool is the data itself; the scan of test/secrets reads that too.
    const state = entries.filter((entry) => entry.isFile() && entry.name !== 'pool.img').map(({ name }) => name)
    const bytes = await Promise.all(state.map((name) => readFile(join(data, name))))
    expect(state.filter((_, n) => bytes[n]?.includes(LOGIN.password))).toEqual([])
    // It is the right place to look: what is kept in its stead is there, and for the account of the server alone.
    const verifiers = state.filter((_, n) => bytes[n]?.includes('SCRAM-SHA-256$'))
    expect(verifiers).not.toEqual([])
    for (const name of verifiers) expect((await stat(join(data, name))).mode & 0o077, name).toBe(0)
  })

  test('defect 13: new data comes in while clones stand, and no clone of the old notices', async () => {
    await using lab = await TestLab.make({ driver })
    await lab.start()
    const old = await createClone(lab, { id: 'old' })
    await query(urlOf(old), 'CREATE TABLE mine AS SELECT 42 AS answer')
    const session = await openSession(urlOf(old))
    await session.query('BEGIN')
    await session.query('INSERT INTO mine VALUES (43)')
    await lab.interrupt()
    const dump = join(lab.directory, 'fresh.sql')
    await writeFile(dump, 'CREATE TABLE fresh (a int);\nINSERT INTO fresh VALUES (1);\n')
    await lab.start(['--import', dump])
    await session.query('COMMIT')
    expect((await session.query('SELECT answer FROM mine ORDER BY 1')).rows).toEqual([{ answer: 42 }, { answer: 43 }])
    await session.end()
    const seen = (await (await lab.fetch('/clone/old')).json()) as Clone
    expect(seen).toMatchObject({ snapshot: old.snapshot, db: old.db, status: { code: 'OK' } })
    const fresh = await createClone(lab, { id: 'fresh' })
    expect(fresh.snapshot).not.toBe(old.snapshot)
    expect(await query(urlOf(fresh), 'SELECT a FROM fresh')).toEqual([{ a: 1 }])
    // The old data can still be had.
    const reset = await lab.fetch('/clone/old/reset?wait=60', { method: 'POST' })
    expect(((await reset.json()) as Clone).status.code).toBe('OK')
    expect(await query(urlOf(old), 'SELECT count(*)::int > 0 AS some FROM orders')).toEqual([{ some: true }])
    expect(((await (await lab.fetch('/snapshots')).json()) as Snapshot[]).map(({ id }) => id)).toEqual([
      fresh.snapshot,
      old.snapshot,
    ])
  })
})

/** The lab says that it has lost its memory, changes nothing, and its clones go on. */
async function expectLost(lab: TestLab, clones: Clone[]): Promise<void> {
  const seen = await statusOf(lab)
  expect(seen.status.code).toBe('WARNING')
  expect(seen.warnings.map((warning) => warning.code)).toContain('CATALOGUE_LOST')
  const refused = [
    await lab.fetch('/clone', { method: 'POST', json: { db: LOGIN } }),
    await lab.fetch('/clone/survivor', { method: 'DELETE' }),
  ]
  expect(refused.map(({ status }) => status)).toEqual([503, 503])
  for (const clone of clones) expect(await query(urlOf(clone), 'SELECT 1 AS one')).toEqual([{ one: 1 }])
}
