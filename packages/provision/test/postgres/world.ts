import { chmod, chown, mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { run } from '../../src/exec.ts'
import {
  type Account,
  type BinarySource,
  binarySource,
  callerAccount,
  findAccount,
  type InstanceSpec,
  labSettings,
  ProcessRuntime,
} from '../../src/postgres/index.ts'
import { freePort, isRoot } from '../../testbed/index.ts'

/** Directories, an account and binaries for one test, and every server of it stopped at the end. */
export interface World extends AsyncDisposable {
  root: string
  stateDir: string
  account: Account
  binaries: BinarySource
  runtime: ProcessRuntime
  /** As another process of the lab would see it. */
  anotherRuntime(): ProcessRuntime
  /** A directory as the storage makes it: empty, private, the account's. */
  emptyDataDir(name: string): Promise<string>
  copyOf(dataDir: string, name: string): Promise<string>
  spec(id: string, dataDir: string, more?: Partial<InstanceSpec>): Promise<InstanceSpec>
}

export interface WorldOptions {
  /** Programs that `binarySource` is to look for first. */
  configured?: readonly string[]
  embedded?: boolean
}

export async function makeWorld(options: WorldOptions = {}): Promise<World> {
  const root = await mkdtemp(join(tmpdir(), 'dblab-pg-'))
  await chmod(root, 0o711)
  const account = await findAccount()
  const stateDir = join(root, 'state')
  const binaries = binarySource({ ...options, account, copiesDir: join(root, 'binaries') })
  const anotherRuntime = () =>
    new ProcessRuntime({
      account,
      binaries,
      stateDir,
      labUser: callerAccount().name,
      stopDeadlines: { fastMs: 20_000, haltMs: 2_000, killMs: 5_000 },
    })
  const runtime = anotherRuntime()
  await runtime.check()
  const own = async (path: string) => {
    if (isRoot) await chown(path, account.uid, account.gid)
  }
  return {
    root,
    stateDir,
    account,
    binaries,
    runtime,
    anotherRuntime,
    async emptyDataDir(name) {
      const path = join(root, name)
      await mkdir(path, { mode: 0o700 })
      await own(path)
      return path
    },
    async copyOf(dataDir, name) {
      const path = join(root, name)
      // Keeps the owner.
      await run(['cp', '-a', dataDir, path])
      return path
    },
    spec: async (id, dataDir, more = {}) => ({
      id,
      dataDir,
      host: '127.0.0.1',
      port: more.port ?? (await freePort()),
      users: [],
      settings: labSettings((await binaries()).major),
      ...more,
    }),
    async [Symbol.asyncDispose]() {
      for (const { id } of await runtime.list()) await runtime.remove(id)
      await rm(root, { recursive: true, force: true })
    },
  }
}
