import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type { Clone, Snapshot } from '@dblab/models'
import { isRoot } from '@dblab/provision/testbed'
import { describe, expect, test } from 'vitest'
import { createClone, urlOf } from '../support/clones.ts'
import { TestLab } from '../support/lab.ts'
import { leftovers } from '../support/leftovers.ts'
import { untilCheckpointed } from '../support/rest.ts'
import { query } from '../support/sql.ts'
import { statusOf } from '../support/whole.ts'

const execute = promisify(execFile)
const driver = isRoot ? 'btrfs' : 'copy'

/** Defects that others of this kind have, in what becomes of the data. docs/reliability.md lists all of them. */
describe('the data of a lab', { timeout: 120_000 }, () => {
  test('defect 7: a snapshot of a running clone is taken after a checkpoint, and holds all that was committed', async () => {
    await using lab = await TestLab.make({ driver })
    await lab.start()
    const url = urlOf(await createClone(lab, { id: 'source' }))
    // Its first checkpoint would cover the table too, where it comes late.
    await untilCheckpointed(url)
    await query(url, 'CREATE TABLE kept AS SELECT n FROM generate_series(1, 10000) n')
    const [committed] = await query<{ lsn: string }>(url, 'SELECT pg_current_wal_lsn()::text AS lsn')
    const covered = `SELECT redo_lsn >= '${committed?.lsn}'::pg_lsn AS covered FROM pg_control_checkpoint()`
    expect(await query(url, covered)).toEqual([{ covered: false }])
    const taken = await lab.fetch('/snapshot', { method: 'POST', json: { cloneId: 'source', id: 'taken' } })
    expect(((await taken.json()) as Snapshot).id).toBe('taken')
    expect(await query(url, covered)).toEqual([{ covered: true }])
    const clone = await createClone(lab, { id: 'copy', snapshot: 'taken' })
    expect(await query(urlOf(clone), 'SELECT count(*)::int AS n FROM kept')).toEqual([{ n: 10_000 }])
  })

  // Masking is not built yet; where it is, its own scripts get this test. Until then, SQL that brings data in is the SQL that may fail.
  test('defect 8: SQL that fails half way publishes nothing', async () => {
    await using lab = await TestLab.make({ driver })
    await lab.start()
    const before = await statusOf(lab)
    await lab.interrupt()
    const bad = join(lab.directory, 'bad.sql')
    const after = join(lab.directory, 'ran-on')
    await writeFile(
      bad,
      `CREATE TABLE people (name text);\nINSERT INTO people VALUES ('unmasked');\nUPDATE people SET name = no_such();\n\\! touch ${after}\nCREATE TABLE later ();\n`,
    )
    const failed = await lab.run(['start', '--import', bad], { timeoutMs: 60_000 })
    expect(failed).toMatchObject({ code: 1, stderr: expect.stringMatching(/line 3.*no_such/s) })
    const missing = await lab.run(['start', '--import', join(lab.directory, 'absent.sql')])
    expect(missing).toMatchObject({ code: 1, stderr: expect.stringContaining('absent.sql') })
    expect(existsSync(after)).toBe(false)
    await lab.start()
    expect(await statusOf(lab)).toMatchObject({ snapshots: before.snapshots, status: before.status })
    expect((await leftovers(lab.directory)).volumes).toHaveLength(1)
    const clone = await createClone(lab)
    expect(await query(urlOf(clone), `SELECT to_regclass('people') AS people`)).toEqual([{ people: null }])
  })

  test('defect 11: a setting of Postgres is taken as it is, whatever is in it, and brings no other along', async () => {
    const value = `it's "so" \\ 100%\nlisten_addresses = '*'\n# $HOME; -c port=1 'x`
    const settings = { 'lab.note': value, search_path: `"a'b", public` }
    await using lab = await TestLab.make({ driver, config: { postgres: { settings } } })
    await lab.start()
    const clone = await createClone(lab)
    expect(clone.status).toMatchObject({ code: 'OK' })
    const sql = `SELECT current_setting('lab.note') AS note, current_setting('search_path') AS path,
      current_setting('port') AS port`
    expect(await query(urlOf(clone), sql)).toEqual([{ note: value, path: settings.search_path, port: clone.db.port }])
    const listening = await execute('ss', ['--listening', '--tcp', '--numeric', `sport = :${clone.db.port}`])
    expect(listening.stdout).toContain(`127.0.0.1:${clone.db.port}`)
    expect(listening.stdout).not.toMatch(/(?:0\.0\.0\.0|\*|\[::\]):\d+ +(?:0\.0\.0\.0|\*|\[::\])/)
  })

  // The drivers' own tests hold this for each of them, OpenZFS as well: "an unlabelled snapshot is neither listed nor touched".
  test.skipIf(!isRoot)(
    'defect 12: what strangers keep in the pool breaks no list and is not touched (needs root: the pool is a mounted image)',
    async () => {
      await using lab = await TestLab.make({ driver: 'btrfs' })
      await lab.start()
      await createClone(lab, { id: 'ours' })
      const before = await statusOf(lab)
      const pool = join(lab.directory, '.dblab/pool')
      const theirs = [join(pool, 'volumes/theirs'), join(pool, 'theirs'), join(pool, 'snapshots/theirs@yesterday')]
      await execute('btrfs', ['subvolume', 'create', theirs[0] ?? ''])
      await writeFile(join(theirs[0] ?? '', 'file'), 'theirs')
      for (const path of theirs.slice(1)) await execute('btrfs', ['subvolume', 'snapshot', '-r', theirs[0] ?? '', path])
      expect((await statusOf(lab)).snapshots).toEqual(before.snapshots)
      const made = await createClone(lab, { id: 'more' })
      expect(made.status.code).toBe('OK')
      const taken = await lab.fetch('/snapshot', { method: 'POST', json: { id: 'taken' } })
      expect(taken.status).toBe(201)
      expect((await lab.fetch('/snapshot/taken', { method: 'DELETE' })).status).toBe(204)
      await lab.kill()
      await lab.start()
      const after = await statusOf(lab)
      expect(after.clones.map(({ id, status }) => [id, status.code])).toEqual([
        ['ours', 'OK'],
        ['more', 'OK'],
      ])
      expect(after.snapshots.map(({ id }) => id)).toEqual(before.snapshots.map(({ id }) => id))
      for (const path of theirs) expect(await readFile(join(path, 'file'), 'utf8')).toBe('theirs')
      for (const path of theirs.toReversed()) await execute('btrfs', ['subvolume', 'delete', path])
    },
  )

  test('defect 16: the user of a clone is no superuser unless the configuration says so', async () => {
    await using lab = await TestLab.make({ driver })
    await lab.start()
    const login = { password: 'a password of the tests' }
    for (const username of ['alice', 'postgres']) {
      const clone: Clone = await createClone(lab, { db: { ...login, username } })
      const roles = `SELECT rolsuper OR rolcreaterole OR rolreplication OR rolbypassrls AS mighty
        FROM pg_roles WHERE pg_has_role(rolname, 'MEMBER')`
      const found = await query<{ mighty: boolean }>(urlOf(clone), roles)
      expect(found.length).toBeGreaterThan(0)
      expect(found.filter(({ mighty }) => mighty)).toEqual([])
      const programs = query(urlOf(clone), `COPY (SELECT 1) TO PROGRAM 'id'`)
      await expect(programs).rejects.toMatchObject({ code: '42501' })
    }
  })
})
