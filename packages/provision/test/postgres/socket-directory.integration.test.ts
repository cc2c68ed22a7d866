import { access, chmod, chown, lstat, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { type Account, findAccount } from '../../src/postgres/index.ts'
import { chooseSocketDir, makeSocketDir, removeSocketDir } from '../../src/postgres/process/socket-directory.ts'
import { isRoot } from '../../testbed/index.ts'

const LONG_ROOT = `/${'long/'.repeat(30)}sockets`

/** A directory for temporary files of one test, where everybody may write. */
async function makeTemporary() {
  const before = process.env.TMPDIR
  const directory = await mkdtemp(join(tmpdir(), 'so-'))
  await chmod(directory, 0o1777)
  process.env.TMPDIR = directory
  return {
    directory,
    account: await findAccount(),
    path: chooseSocketDir(LONG_ROOT, 'one'),
    async [Symbol.asyncDispose]() {
      if (before === undefined) delete process.env.TMPDIR
      else process.env.TMPDIR = before
      await rm(directory, { recursive: true })
    },
  }
}

/** Of Postgres' account, where the tests run as somebody else. */
async function give(path: string, { uid, gid }: Account): Promise<void> {
  if (isRoot) await chown(path, uid, gid)
}

describe('a directory for sockets among the temporary files', () => {
  test("is the account's alone, in one where nobody else may write, and both go with the last", async () => {
    await using temporary = await makeTemporary()
    const { account, path } = temporary
    const second = chooseSocketDir(LONG_ROOT, 'two')
    const parent = dirname(path)
    expect(dirname(second)).toBe(parent)
    expect(dirname(parent)).toBe(temporary.directory)
    for (const each of [path, second]) await makeSocketDir(each, account)
    expect(await lstat(path)).toMatchObject({ uid: account.uid, mode: 0o040700 })
    expect(await lstat(parent)).toMatchObject({ uid: process.getuid?.(), mode: 0o040711 })
    await removeSocketDir(path, account)
    await access(second)
    await removeSocketDir(second, account)
    await removeSocketDir(second, account)
    await expect(access(parent)).rejects.toMatchObject({ code: 'ENOENT' })
  })

  test.each([
    ['a link', async (parent: string) => symlink('/etc', parent)],
    ['a file', async (parent: string) => writeFile(parent, '')],
    ['one where others may write', async (parent: string) => mkdir(parent).then(() => chmod(parent, 0o777))],
  ])('is not made in what has the name of the common one and is %s', async (_, squat) => {
    await using temporary = await makeTemporary()
    await squat(dirname(temporary.path))
    const made = makeSocketDir(temporary.path, temporary.account)
    await expect(made).rejects.toMatchObject({ code: 'UNAVAILABLE', hint: expect.any(String) })
    await expect(access(join('/etc', 'one'))).rejects.toMatchObject({ code: 'ENOENT' })
  })

  test.skipIf(!isRoot)(
    "is not made in one of the account's, who could put a link in its place (needs root)",
    async () => {
      await using temporary = await makeTemporary()
      await mkdir(dirname(temporary.path))
      await give(dirname(temporary.path), temporary.account)
      await expect(makeSocketDir(temporary.path, temporary.account)).rejects.toMatchObject({ code: 'UNAVAILABLE' })
    },
  )

  test('is not made where anybody may rename what others have made', async () => {
    await using temporary = await makeTemporary()
    await chmod(temporary.directory, 0o777)
    await expect(makeSocketDir(temporary.path, temporary.account)).rejects.toMatchObject({
      code: 'UNAVAILABLE',
      hint: expect.stringContaining('chmod +t'),
    })
  })

  test('is no link, and is emptied of what the account has left there, without following any', async () => {
    await using temporary = await makeTemporary()
    const { account, path, directory } = temporary
    const precious = join(directory, 'precious')
    await mkdir(precious)
    await writeFile(join(precious, 'file'), '')
    await makeSocketDir(path, account)
    await symlink(precious, join(path, 'link'))
    await mkdir(join(path, 'directory'))
    await give(join(path, 'directory'), account)
    await symlink(precious, join(path, 'directory', 'link'))
    await makeSocketDir(path, account)
    await access(join(precious, 'file'))
    await removeSocketDir(path, account)
    await makeSocketDir(path, account)
    await rm(path, { recursive: true })
    await symlink(precious, path)
    await expect(makeSocketDir(path, account)).rejects.toMatchObject({ code: 'UNAVAILABLE' })
    await rm(path)
    await access(join(precious, 'file'))
  })
})
