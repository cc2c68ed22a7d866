import { execFileSync } from 'node:child_process'
import { copyFile as copy, lstat, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
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
      for (const name of what === 'files' ? files : ['directory']) {
        await rm(world.at('data', name), { recursive: true })
        await symlink(world.at('secrets', ...(what === 'files' ? ['token'] : [])), world.at('data', name))
      }
    }
    await copy(from, to)
  })
  await expect(copying).rejects.toThrow(/ELOOP|ENOTDIR/)
  const texts = await Promise.all((await filesOf(world.at('copy'))).map((file) => readFile(file, 'utf8')))
  expect(texts).not.toContain('secret')
})

test.runIf(isRoot)('a tree of another account is removed with the rights of that account', async () => {
  await using world = await makeWorld()
  await mkdir(world.at('tree', 'closed', 'inner'), { recursive: true })
  await writeFile(world.at('tree', 'closed', 'inner', 'file'), '')
  await symlink('/', world.at('tree', 'link'))
  execFileSync('chown', ['-R', `${NOBODY}:${NOBODY}`, world.at('tree')])
  execFileSync('chmod', ['0', world.at('tree', 'closed')])
  execFileSync('chmod', ['755', world.at('.')])
  await removeTree(world.at('tree'))
  await expect(lstat(world.at('tree'))).rejects.toMatchObject({ code: 'ENOENT' })
  await removeTree(world.at('tree'))

  // Stands for what a link would lead root to.
  await mkdir(world.at('another', 'precious'), { recursive: true })
  await writeFile(world.at('another', 'precious', 'file'), 'of root')
  execFileSync('chown', [`${NOBODY}:${NOBODY}`, world.at('another')])
  await expect(removeTree(world.at('another'))).rejects.toThrow()
  expect(await readFile(world.at('another', 'precious', 'file'), 'utf8')).toBe('of root')
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
