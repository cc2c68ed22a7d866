import { chmod, chown, mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { findAccount } from '../../src/postgres/index.ts'
import { initialiseCluster } from '../../src/postgres/process/initialise.ts'
import { isRoot } from '../../testbed/index.ts'

test.skipIf(!isRoot)('what takes the place of a data directory is not emptied by root (root only)', async () => {
  const root = await mkdtemp(join(tmpdir(), 'dblab-initialise-'))
  await using stack = new AsyncDisposableStack()
  stack.defer(() => rm(root, { recursive: true }))
  await chmod(root, 0o711)
  const account = await findAccount()
  const [files, binDir, precious] = ['files', 'bin', 'precious'].map((name) => join(root, name)) as [
    string,
    string,
    string,
  ]
  for (const path of [files, binDir, precious]) await mkdir(path)
  await writeFile(join(precious, 'kept'), '')
  await mkdir(join(files, 'data'), { mode: 0o700 })
  for (const path of [files, join(files, 'data')]) await chown(path, account.uid, account.gid)
  // As somebody of the account can do it while the real one works.
  const swap = `#!/bin/sh\nmv ${files}/data ${files}/moved; ln -s ${precious} ${files}/data; echo 'it failed' >&2; exit 1\n`
  await writeFile(join(binDir, 'initdb'), swap, { mode: 0o755 })

  const making = initialiseCluster(
    join(files, 'data'),
    { major: 18, version: '18.4', binDir, source: 'configured' },
    account,
    undefined,
  )
  await expect(making).rejects.toThrow()
  expect(await readdir(precious)).toEqual(['kept'])
})
