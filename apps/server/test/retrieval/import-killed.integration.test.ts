import { existsSync } from 'node:fs'
import { stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { isRoot } from '@dblab/provision/testbed'
import { expect, test } from 'vitest'
import { eventually, TestLab } from '../support/lab.ts'
import { lacking } from './bring-in.ts'

test.skipIf(lacking !== '')(`an import that was killed leaves no password on the disk${lacking}`, async () => {
  await using lab = await TestLab.make({ driver: 'copy' })
  const dump = join(lab.directory, 'dump.sql')
  await writeFile(dump, 'CREATE TABLE a ();\nSELECT pg_sleep(600);\n')
  const directory = join(lab.directory, '.dblab/import')
  const starting = expect(lab.start(['--import', dump])).rejects.toThrow('ended')
  await eventually('the tool has its password', async () => existsSync(join(directory, 'pgpass')), 60_000)
  expect((await stat(join(directory, 'pgpass'))).mode & 0o777).toBe(0o600)
  // The account of the tool may pass, and put nothing there.
  expect((await stat(directory)).mode & 0o777).toBe(isRoot ? 0o711 : 0o700)
  await lab.kill()
  await starting
  expect(existsSync(directory)).toBe(true)
  await lab.start()
  expect(existsSync(directory)).toBe(false)
})
