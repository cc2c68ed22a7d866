import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { isRoot } from '@dblab/provision/testbed'
import { expect, test } from 'vitest'
import { createClone, urlOf } from '../support/clones.ts'
import { TestLab } from '../support/lab.ts'
import { query } from '../support/sql.ts'

const missing = isRoot ? '' : ' (skipped: only root gives Postgres another account)'

test.skipIf(missing !== '')(
  `a lab keeps the account that its data belongs to, though it would choose another now${missing}`,
  async () => {
    // The last that it would choose by itself.
    await using lab = await TestLab.make({ driver: 'copy', config: { postgres: { user: 'nobody' } } })
    await lab.start()
    await lab.interrupt()
    const file = join(lab.directory, 'dblab.yaml')
    await writeFile(file, (await readFile(file, 'utf8')).replace('user: nobody', 'settings: {}'))
    await lab.start()
    const clone = await createClone(lab, { db: { username: 'ann', password: 'pass word' } })
    expect(clone.status.code, clone.status.message).toBe('OK')
    expect(await query(urlOf(clone, 'pass word'), 'SELECT 1 AS one')).toEqual([{ one: 1 }])
  },
)
