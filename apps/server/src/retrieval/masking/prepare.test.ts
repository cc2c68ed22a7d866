import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { maskingSchema } from '../../config/masking.ts'
import { prepareMasking } from './prepare.ts'

const secret = 'a secret that is long enough for any rule'
const rules = [{ table: 'public.a', column: 'b', hash: true }]
let directory: string
let script: string
let secretFile: string

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'dblab-masking-'))
  script = join(directory, 'mask.sql')
  secretFile = join(directory, 'secret')
  await writeFile(script, 'update a set b = 1;\n')
  await writeFile(secretFile, `${secret}\n`, { mode: 0o600 })
})

afterAll(() => rm(directory, { recursive: true }))

function prepare(given: unknown, env: NodeJS.ProcessEnv = {}) {
  return prepareMasking(maskingSchema.parse(given), (name) => env[name])
}

test('the secret is the same from a file and from the environment', async () => {
  const fromFile = await prepare({ rules, secretFile })
  const fromEnvironment = await prepare({ rules, secretEnv: 'S' }, { S: secret })
  expect(fromFile.keys).toEqual(fromEnvironment.keys)
  expect((await prepare({ rules, secretEnv: 'S' }, { S: `${secret}!` })).keys).not.toEqual(fromFile.keys)
  expect((await prepare({})).keys).toBeUndefined()
})

test('a secret that is missing, short or open to others is refused, and not shown', async () => {
  await expect(prepare({ rules, secretEnv: 'S' })).rejects.toMatchObject({
    code: 'INVALID',
    message: expect.stringContaining('S for masking is not set'),
  })
  const short = prepare({ rules, secretEnv: 'S' }, { S: 'tooshort' })
  await expect(short).rejects.toMatchObject({ code: 'INVALID', message: expect.not.stringContaining('tooshort') })
  await expect(prepare({ rules, secretFile: join(directory, 'absent') })).rejects.toMatchObject({ code: 'INVALID' })
  await expect(prepare({ rules, secretFile: directory })).rejects.toMatchObject({ code: 'INVALID' })
  const open = join(directory, 'open')
  await writeFile(open, secret)
  await chmod(open, 0o640)
  await expect(prepare({ rules, secretFile: open })).rejects.toMatchObject({
    code: 'INVALID',
    hint: `chmod 600 ${open}`,
  })
})

test('files that are not there, empty, or no text are refused', async () => {
  const empty = join(directory, 'empty.sql')
  await writeFile(empty, ' \n')
  const binary = join(directory, 'binary.sql')
  await writeFile(binary, Buffer.from([0x73, 0xff, 0xfe]))
  const zero = join(directory, 'zero.sql')
  await writeFile(zero, 'select 1;\0')
  for (const path of [join(directory, 'absent.sql'), directory, empty, binary, zero]) {
    await expect(prepare({ files: [{ path }] })).rejects.toMatchObject({
      code: 'INVALID',
      message: expect.stringContaining(path),
    })
  }
})

test('the version of a mask is that of its rules and files, and says nothing of the secret', async () => {
  const version = async (given: object, env?: NodeJS.ProcessEnv) =>
    (await prepare({ secretEnv: 'S', ...given }, env ?? { S: secret })).maskVersion
  const first = await version({ rules, files: [{ path: script }] })
  expect(first).toMatch(/^[0-9a-f]{16}$/)
  expect(await version({ rules, files: [{ path: script }] }, { S: `${secret}!` })).toBe(first)
  expect(await version({ rules, files: [{ path: script }], coverage: { mode: 'off' }, timeoutSeconds: 5 })).toBe(first)
  const moved = join(directory, 'moved.sql')
  await writeFile(moved, 'update a set b = 1;\n')
  expect(await version({ rules, files: [{ path: moved }] })).toBe(first)
  await writeFile(moved, 'update a set b = 2;\n')
  const others = [
    await version({ rules, files: [{ path: moved }] }),
    await version({ rules: [{ ...rules[0], column: 'c' }], files: [{ path: script }] }),
    await version({ rules, files: [{ path: script, database: 'x' }] }),
    await version({ rules, files: [{ path: script }], largeObjects: 'keep' }),
    await version({ rules }),
  ]
  expect(new Set([first, ...others]).size).toBe(6)
})
