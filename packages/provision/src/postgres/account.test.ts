import { chmod, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { callerAccount, canPass, findAccount } from './account.ts'

const stranger = { name: 'stranger', uid: 54_321, gid: 54_321 }

async function directory(): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'dblab-account-'))
  onTestFinished(() => rm(path, { recursive: true, force: true }))
  await chmod(path, 0o711)
  return path
}

test('what is open to others, and below directories that are, can be passed', async () => {
  const root = await directory()
  await mkdir(join(root, 'open'), { mode: 0o755 })
  await writeFile(join(root, 'open', 'file'), '')
  await chmod(join(root, 'open', 'file'), 0o644)
  expect(await canPass(stranger, root)).toBe(true)
  expect(await canPass(stranger, join(root, 'open', 'file'))).toBe(true)
  await chmod(join(root, 'open', 'file'), 0o640)
  expect(await canPass(stranger, join(root, 'open', 'file'))).toBe(false)
  expect(await canPass({ ...stranger, gid: callerAccount().gid }, join(root, 'open', 'file'))).toBe(true)
})

test('one closed directory on the way is enough to stop, by way of a link too', async () => {
  const root = await directory()
  await mkdir(join(root, 'closed', 'open'), { recursive: true })
  await chmod(join(root, 'closed'), 0o700)
  await symlink(join(root, 'closed', 'open'), join(root, 'link'))
  expect(await canPass(stranger, join(root, 'closed', 'open'))).toBe(false)
  expect(await canPass(stranger, join(root, 'link'))).toBe(false)
  expect(await canPass(callerAccount(), join(root, 'link'))).toBe(true)
})

test('a program must be one that others may run', async () => {
  const root = await directory()
  await writeFile(join(root, 'program'), '')
  await chmod(join(root, 'program'), 0o744)
  expect(await canPass(stranger, join(root, 'program'))).toBe(false)
  await chmod(join(root, 'program'), 0o755)
  expect(await canPass(stranger, join(root, 'program'))).toBe(true)
})

test('what is not there can not be passed', async () => {
  expect(await canPass(stranger, join(await directory(), 'nothing'))).toBe(false)
})

test('Postgres gets an account that is not root', async () => {
  const account = await findAccount()
  expect(account.uid).toBeGreaterThan(0)
  expect(account.name).not.toBe('')
})

test.runIf(process.getuid?.() === 0)(
  'root keeps the account that data belongs to, unless another is configured',
  async () => {
    expect((await findAccount(undefined, 'nobody')).name).toBe('nobody')
    expect((await findAccount('nobody', 'nobody-has-this-name')).name).toBe('nobody')
    await expect(findAccount(undefined, 'nobody-has-this-name')).rejects.toMatchObject({ code: 'UNAVAILABLE' })
  },
)

test.runIf(process.getuid?.() === 0)('root, and names that are no accounts, are refused', async () => {
  await expect(findAccount('root')).rejects.toMatchObject({ code: 'INVALID' })
  await expect(findAccount('-x')).rejects.toMatchObject({ code: 'INVALID' })
  await expect(findAccount('nobody-has-this-name')).rejects.toMatchObject({ code: 'UNAVAILABLE' })
})

test.runIf(process.getuid?.() !== 0)('an ordinary user runs Postgres as nobody else', async () => {
  await expect(findAccount('nobody-has-this-name')).rejects.toMatchObject({ code: 'INVALID' })
})
