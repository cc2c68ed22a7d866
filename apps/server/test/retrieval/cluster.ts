import { chmod, chown, mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  type Account,
  binarySource,
  callerAccount,
  findAccount,
  findBinaries,
  IMPORT_ROLE,
  type Instance,
  type PostgresBinaries,
  ProcessRuntime,
  run,
  withLabConnection,
} from '@dblab/provision'
import { freePort, isRoot } from '@dblab/provision/testbed'
import { afterAll } from 'vitest'

/** A fresh cluster that runs as a base does while it is filled: the import role may come over TCP. */
export interface Cluster extends AsyncDisposable {
  instance: Instance
  account: Account
  /** Every account can enter it; it goes with the cluster. */
  directory: string
  query<Row extends object>(database: string, sql: string): Promise<Row[]>
  log(): Promise<string>
  /** Shuts it down cleanly; the files stay until it is disposed of. */
  stop(): Promise<void>
  restart(): Promise<void>
}

/** The npm package's binaries, and the system's where it has some. */
export async function binariesUnderTest(): Promise<PostgresBinaries[]> {
  const { usable } = await findBinaries()
  const first = (source: string) => usable.filter((binaries) => binaries.source === source).slice(0, 1)
  return [...first('embedded'), ...first('system')]
}

/** A directory that other accounts can enter. */
export async function openDirectory(): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'dblab-retrieval-'))
  await chmod(directory, 0o755)
  return directory
}

const templates = new Map<string, Promise<string>>()

afterAll(async () => {
  for (const template of templates.values()) await rm(await template, { recursive: true })
  templates.clear()
})

/** initdb takes seconds, a copy of what it made does not. */
function clusterTemplate(binaries: PostgresBinaries, runtime: ProcessRuntime): Promise<string> {
  const made = templates.get(binaries.binDir) ?? makeTemplate(runtime)
  templates.set(binaries.binDir, made)
  return made
}

async function makeTemplate(runtime: ProcessRuntime): Promise<string> {
  const directory = await openDirectory()
  await rm(directory, { recursive: true })
  await mkdir(directory, { mode: 0o700 })
  if (isRoot) await chown(directory, runtime.account.uid, runtime.account.gid)
  await runtime.initialise(directory)
  return directory
}

export async function startCluster(
  binaries: PostgresBinaries,
  settings: Record<string, string> = {},
): Promise<Cluster> {
  await using undo = new AsyncDisposableStack()
  const directory = await openDirectory()
  undo.defer(() => rm(directory, { recursive: true, force: true }))
  const account = await findAccount()
  const runtime = new ProcessRuntime({
    account,
    stateDir: join(directory, 'state'),
    labUser: callerAccount().name,
    binaries: binarySource({
      account,
      configured: [binaries.binDir],
      embedded: false,
      system: false,
      copiesDir: join(directory, 'copies'),
    }),
  })
  await mkdir(join(directory, 'state'))
  await mkdir(join(directory, 'copies'))
  const dataDir = join(directory, 'data')
  await runtime.check()
  await run(['cp', '-Rp', await clusterTemplate(binaries, runtime), dataDir])
  undo.defer(() => runtime.remove('base'))
  const port = await freePort()
  const start = () =>
    runtime.start({
      id: 'base',
      dataDir,
      host: '127.0.0.1',
      port,
      users: [IMPORT_ROLE],
      settings: { fsync: 'off', wal_level: 'minimal', max_wal_senders: '0', ...settings },
    })
  const instance = await start()
  const kept = undo.move()
  return {
    instance,
    account,
    directory,
    query: <Row extends object>(database: string, sql: string) =>
      withLabConnection(instance, database, async (client) => (await client.query<Row>(sql)).rows),
    stop: () => runtime.stop('base', 'clean'),
    restart: async () => {
      await runtime.stop('base', 'clean')
      Object.assign(instance, await start())
    },
    log: async () => (await runtime.logs('base', 1000)).join('\n'),
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  }
}
