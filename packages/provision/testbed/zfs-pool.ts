import { randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { command } from './machine.ts'

export interface TestPool extends AsyncDisposable {
  name: string
}

/** The pool that the environment names, or else one in a file. */
export async function testPool(): Promise<TestPool> {
  const given = process.env.ZFS_VM_POOL
  if (given !== undefined) return { name: given, [Symbol.asyncDispose]: async () => {} }
  const directory = await mkdtemp(join(tmpdir(), 'zfs-pool-'))
  const [name, file] = [`dblab-test-${randomBytes(4).toString('hex')}`, join(directory, 'device')]
  await command('truncate', '--size=2G', file)
  await command('zpool', 'create', '-m', `/${name}`, name, file)
  return {
    name,
    async [Symbol.asyncDispose]() {
      await command('zpool', 'destroy', name)
      await rm(directory, { recursive: true })
    },
  }
}
