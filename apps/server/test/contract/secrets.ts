import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { isSystemError } from '@dblab/provision'
import { describe, expect, test } from 'vitest'
import { filesBelow } from '../support/files-below.ts'
import { type Api, PASSWORD, unique } from './api.ts'

export function secretsContract(api: () => Api): void {
  describe('the password of a clone and the token of the lab', () => {
    test('are neither in the log, at its most talkative, nor in any file of the lab', async () => {
      await using clone = await api().clone({ id: unique('secret') }, { wait: 60 })
      expect((await api().call('POST', `${clone.path}/reset?wait=60`)).status).toBe(202)
      await api().call('POST', `/clone?wait=${PASSWORD}`, {
        json: { db: { username: PASSWORD.repeat(9), password: PASSWORD } },
      })
      await api().call('POST', '/clone', { json: { password: PASSWORD, db: PASSWORD } })
      const { lab } = api()
      expect(lab.output).toContain(' debug ')
      expect(found(Buffer.from(lab.output), lab.token)).toEqual([])
      const files = await filesOf(join(lab.directory, '.dblab'))
      expect(files.map(({ path }) => path)).toEqual(expect.arrayContaining([expect.stringMatching(/catalogue\.db$/)]))
      for (const { path, bytes } of files) expect(found(bytes, lab.token), path).toEqual([])
    })
  })
}

function found(bytes: Buffer, token: string): string[] {
  const forms = [PASSWORD, encodeURIComponent(PASSWORD), Buffer.from(PASSWORD).toString('base64'), token]
  return forms.filter((form) => bytes.includes(form))
}

/** All but the data of Postgres, which is its own to keep, copies of its programs, and the token's own file. */
async function filesOf(directory: string): Promise<{ path: string; bytes: Buffer }[]> {
  const enters = (path: string) => !/\/pool\/(?:volumes|snapshots)\/[^/]+\/files$|\/binaries$/.test(path)
  const paths: string[] = []
  for await (const path of filesBelow(directory, enters)) if (!path.endsWith('/.dblab/token')) paths.push(path)
  return Promise.all(paths.map(async (path) => ({ path, bytes: await readIfThere(path) })))
}

/** A file of a clone that is being removed may go meanwhile. */
async function readIfThere(path: string): Promise<Buffer> {
  try {
    return await readFile(path)
  } catch (error) {
    if (!isSystemError(error, 'ENOENT')) throw error
    return Buffer.alloc(0)
  }
}
