import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Snapshot } from '@dblab/models'
import { hasProgram } from '@dblab/provision/testbed'
import { expect, test } from 'vitest'
import { TestLab } from '../support/lab.ts'
import { People } from './people.ts'

const missing = hasProgram('psql') ? '' : ' (skipped: there is no psql, which imports plain dumps)'

test.skipIf(missing !== '')(`who may only look is told a dump's name, and not where it lay${missing}`, async () => {
  await using lab = await TestLab.make({ driver: 'copy' })
  const dump = join(lab.directory, 'shop.sql')
  await writeFile(dump, 'CREATE TABLE things AS SELECT 1 AS n;')
  await lab.start(['--import', dump])
  const people = await People.of(lab)
  const viewer = await people.make('viewer', 'viewer')
  const { body, text } = await viewer.call<Snapshot[]>('GET', '/snapshots')
  expect(body).toEqual([expect.objectContaining({ message: 'Imported from shop.sql' })])
  expect(text).not.toContain(lab.directory)
})
