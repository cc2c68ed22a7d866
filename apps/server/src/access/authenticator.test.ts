import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test, vi } from 'vitest'
import { Catalogue } from '../catalogue/catalogue.ts'
import { Authenticator } from './authenticator.ts'
import { Tokens } from './tokens.ts'

async function open() {
  const directory = await mkdtemp(join(tmpdir(), 'dblab-authenticator-'))
  const catalogue = Catalogue.create(join(directory, 'catalogue.db'), 'lab')
  const { token } = new Tokens({ catalogue, requireWritable: () => {} }).create({ name: 'ci', role: 'viewer' })
  return {
    catalogue,
    token,
    authenticator: new Authenticator({ catalogue, firstToken: 'first', catalogueIsLost: false }),
    lastUsedAt: () => catalogue.tokens.list()[0]?.lastUsedAt,
    [Symbol.asyncDispose]: async () => {
      catalogue.close()
      await rm(directory, { recursive: true })
    },
  }
}

test('the first use of a token is written at once, and the next ones later', async () => {
  await using at = await open()
  const writes = vi.spyOn(at.catalogue, 'transaction')
  expect(at.authenticator.authenticate(at.token).name).toBe('ci')
  expect(at.lastUsedAt()).toMatch(/^20/)
  at.authenticator.authenticate(at.token)
  expect(writes).toHaveBeenCalledTimes(1)
  at.authenticator.writeUses()
  expect(writes).toHaveBeenCalledTimes(2)
})

test('a full disk refuses nobody; the use is written once there is room', async () => {
  await using at = await open()
  const full = Object.assign(new Error('database or disk is full'), { code: 'ERR_SQLITE_ERROR', errcode: 13 })
  const writes = vi.spyOn(at.catalogue, 'transaction').mockImplementation(() => {
    throw full
  })
  for (let time = 0; time < 2; time++) expect(at.authenticator.authenticate(at.token).name).toBe('ci')
  expect(writes).toHaveBeenCalledTimes(1)
  expect(() => at.authenticator.writeUses()).toThrow(full)
  writes.mockRestore()
  at.authenticator.writeUses()
  expect(at.lastUsedAt()).toMatch(/^20/)
})
