import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  copyFile as copy,
  lstat,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rename,
  rm,
  symlink,
  writeFile,
} from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { copyTree, removeTree } from '../../src/storage/tree.ts'
import { isRoot } from '../../testbed/index.ts'

/** An account without rights, as every Unix has it. */
const NOBODY = 65534

interface World extends AsyncDisposable {
  /** A path in a directory of its own. */
  at(...names: string[]): string
}

async function makeWorld(): Promise<World> {
  const directory = await mkdtemp(join(tmpdir(), 'tree-'))
  return {
    at: (...names) => join(directory, ...names),
    [Symbol.asyncDispose]: () => rm(directory, { recursive: true }),
  }
}

test.each(['files', 'directories'])('a copy does not follow links that %s became while it was made', async (what) => {
  await using world = await makeWorld()
  await mkdir(world.at('secrets'))
  await writeFile(world.at('secrets', 'token'), 'secret')
  const files = Array.from({ length: 40 }, (_, index) => `file${index}`)
  await mkdir(world.at('data', 'directory'), { recursive: true })
  for (const name of [...files, 'directory/token']) await writeFile(world.at('data', name), 'mine')
  let exchanged = false
  const copying = copyTree(world.at('data'), world.at('copy'), async (from, to) => {
    // All names of the directory are read by now, and most of what they name is not open yet.
    if (!exchanged) {
      exchanged = true
      if (what === 'files') {
        // At no moment is there none of that name, which the other copies under way would not find.
        for (const name of files) {
          await symlink(world.at('secrets', 'token'), world.at('link'))
          await rename(world.at('link'), world.at('data', name))
        }
      } else {
        await rm(world.at('data', 'directory'), { recursive: true })
        await symlink(world.at('secrets'), world.at('data', 'directory'))
      }
    }
    await copy(from, to)
  })
  await expect(copying).rejects.toThrow(/ELOOP|ENOTDIR/)
  const texts = await Promise.all((await filesOf(world.at('copy'))).map((file) => readFile(file, 'utf8')))
  expect(texts).not.toContain('secret')
})

/** Exchanges every directory of a tree for a link and back, as fast as it can. */
const EXCHANGE = `
const { readdirSync, renameSync, symlinkSync, unlinkSync } = require('node:fs')
const [tree, elsewhere] = process.argv.slice(1)
process.chdir(tree)
const attempt = (work) => { try { work() } catch {} }
for (;;) for (const name of readdirSync('.')) {
  if (name.endsWith('~')) continue
  attempt(() => renameSync(name, name + '~'))
  attempt(() => symlinkSync(elsewhere, name))
  attempt(() => unlinkSync(name))
  attempt(() => renameSync(name + '~', name))
}`

test.runIf(isRoot)('root removes a tree of another account, and nothing that its owner leads it to', async () => {
  await using world = await makeWorld()
  await mkdir(world.at('precious', 'inner'), { recursive: true })
  for (let index = 0; index < 50; index++) await writeFile(world.at('precious', 'inner', `file${index}`), '')
  for (let round = 0; round < 5; round++) {
    for (let index = 0; index < 100; index++) {
      await mkdir(world.at('tree', `d${index}`, 'inner'), { recursive: true })
      for (const name of ['a', 'b', 'c']) await writeFile(world.at('tree', `d${index}`, 'inner', name), '')
    }
    execFileSync('chown', ['-R', `${NOBODY}:${NOBODY}`, world.at('tree')])
    const account = { uid: NOBODY, gid: NOBODY, cwd: world.at('tree'), stdio: 'ignore' } as const
    execFileSync('chmod', ['-R', 'a+rX', world.at('.')])
    const rival = spawn(process.execPath, ['-e', EXCHANGE, world.at('tree'), world.at('precious')], account)
    await delay(150)
    expect(rival.exitCode).toBeNull()
    // What comes back under its eyes it may leave; it is tried again.
    await removeTree(world.at('tree')).catch((error: unknown) => expect(error).toMatchObject({ code: 'ENOTEMPTY' }))
    rival.kill('SIGKILL')
    await once(rival, 'exit')
    await removeTree(world.at('tree'))
    await expect(lstat(world.at('tree'))).rejects.toMatchObject({ code: 'ENOENT' })
  }
  expect(await readdir(world.at('precious', 'inner'))).toHaveLength(50)
})

test.runIf(isRoot)('root removes what is nested without end, whoever owns it', async () => {
  await using world = await makeWorld()
  const deep = Array.from({ length: 300 }, () => 'd')
  await mkdir(world.at('tree', ...deep), { recursive: true })
  await writeFile(world.at('tree', ...deep, 'file'), '')
  execFileSync('chown', ['-R', `${NOBODY}:${NOBODY}`, world.at('tree', 'd', 'd')])
  await removeTree(world.at('tree'))
  await expect(lstat(world.at('tree'))).rejects.toMatchObject({ code: 'ENOENT' })
  await removeTree(world.at('tree'))
})

test('what is nested deeper than any data is refused, not followed for ever', async () => {
  await using world = await makeWorld()
  await mkdir(world.at('data', ...Array.from({ length: 70 }, () => 'd')), { recursive: true })
  await expect(copyTree(world.at('data'), world.at('copy'), (from, to) => copy(from, to))).rejects.toMatchObject({
    code: 'INVALID',
  })
})

async function filesOf(directory: string): Promise<string[]> {
  const entries = await readdir(directory, { withFileTypes: true, recursive: true })
  return entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name))
}
