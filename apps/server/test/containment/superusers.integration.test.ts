import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Clone } from '@dblab/models'
import { hasProgram } from '@dblab/provision/testbed'
import { describe, expect, test } from 'vitest'
import { createClone, urlOf } from '../support/clones.ts'
import { TestLab } from '../support/lab.ts'
import { query } from '../support/sql.ts'

const DUMP = `
CREATE ROLE boss SUPERUSER LOGIN PASSWORD 'of the source';
CREATE ROLE friend LOGIN;
GRANT boss TO friend;
CREATE TABLE things AS SELECT 1 AS n;
`

const missing = hasProgram('psql') ? '' : ' (skipped: there is no psql, which imports plain dumps)'

describe.skipIf(missing !== '')(`superusers of the data${missing}`, { timeout: 180_000 }, () => {
  async function labWith(allowSuperusers: boolean): Promise<TestLab> {
    const lab = await TestLab.make({ driver: 'copy', config: { postgres: { allowSuperusers } } })
    const dump = join(lab.directory, 'dump.sql')
    await writeFile(dump, DUMP)
    await lab.start(['--import', dump])
    return lab
  }

  async function superuserAs(lab: TestLab, username: string): Promise<boolean> {
    const clone = await createClone(lab, { db: { username, password: 'pass word' } })
    expect(clone.status.code).toBe('OK')
    const [row] = await query<{ is: boolean }>(
      urlOf(clone, 'pass word'),
      'SELECT rolsuper AS is FROM pg_roles WHERE rolname = current_user',
    )
    return row?.is ?? false
  }

  test('are ordinary roles, unless the configuration allows them', async () => {
    await using lab = await labWith(false)
    expect(await superuserAs(lab, 'boss')).toBe(false)
  })

  test('stay superusers where it does, and nobody else becomes one; no longer, once it does not', async () => {
    await using lab = await labWith(true)
    expect(await superuserAs(lab, 'boss')).toBe(true)
    expect(await superuserAs(lab, 'ann')).toBe(false)
    const friend = await createClone(lab, { db: { username: 'friend', password: 'pass word' } })
    await expect(query(urlOf(friend, 'pass word'), 'SET ROLE boss')).rejects.toMatchObject({ code: '42501' })

    await lab.interrupt()
    const file = join(lab.directory, 'dblab.yaml')
    await writeFile(file, (await readFile(file, 'utf8')).replace('allowSuperusers: true', 'allowSuperusers: false'))
    await lab.start()
    const refused = await lab.fetch('/clone?wait=60', {
      method: 'POST',
      json: { id: 'as-boss', db: { username: 'boss', password: 'pass word' } },
    })
    const { status } = (await refused.json()) as Clone
    expect(status).toMatchObject({ code: 'FATAL', message: expect.stringContaining('superuser in the data') })
    const plain = await createClone(lab, { db: { username: 'ann', password: 'pass word' } })
    const rows = await query(urlOf(plain, 'pass word'), `SELECT rolsuper FROM pg_roles WHERE rolname = 'boss'`)
    expect(rows).toEqual([{ rolsuper: false }])
  })
})
