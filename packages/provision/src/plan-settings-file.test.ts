import { mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { run } from './exec.ts'
import { readPlanSettings } from './plan-settings-file.ts'

async function volume() {
  const path = await mkdtemp(join(tmpdir(), 'dblab-volume-'))
  return { path, file: join(path, 'plan-settings.json'), [Symbol.asyncDispose]: () => rm(path, { recursive: true }) }
}

test('what somebody has put into the file beside a cluster is taken for no more than it may be', async () => {
  await using place = await volume()
  const lies = {
    work_mem: '1MB -c fsync=off',
    fsync: 'off',
    config_file: '/etc/shadow',
    __proto__: 'x',
    geqo: { a: 1 },
  }
  await writeFile(place.file, JSON.stringify({ ...lies, jit: 'off', geqo_effort: 7 }))
  expect(await readPlanSettings(place.path)).toEqual({ jit: 'off', geqo_effort: '7' })
})

test.each([
  ['nothing', () => Promise.resolve()],
  ['no JSON', (file: string) => writeFile(file, 'jit = off')],
  ['no object', (file: string) => writeFile(file, '["jit"]')],
  ['a link', (file: string) => symlink('/etc/hostname', file)],
  ['a FIFO', (file: string) => run(['mkfifo', file])],
])('where there is %s, that is told and not waited for', async (_what, put) => {
  await using place = await volume()
  await put(place.file)
  await expect(readPlanSettings(place.path)).rejects.toMatchObject({ code: 'FAILED' })
})
