import { Client } from 'pg'
import { afterAll } from 'vitest'
import { type Instance, prepareBase, scramVerifier, setUpUser, withLabConnection } from '../../src/postgres/index.ts'
import { openProcessTable } from '../../src/postgres/process/processes.ts'
import { makeWorld, type World, type WorldOptions } from './world.ts'

export const PASSWORD = 'pass word'

/** A cluster that was made once, of which tests take copies. */
export interface Template extends AsyncDisposable {
  world: World
  dataDir: string
}

/** @param fill what is in it before it is shut down */
export async function makeTemplate(
  options: WorldOptions = {},
  fill: (instance: Instance) => Promise<void> = async () => undefined,
): Promise<Template> {
  await using undo = new AsyncDisposableStack()
  const world = undo.use(await makeWorld(options))
  const dataDir = await world.emptyDataDir('template')
  await world.runtime.initialise(dataDir)
  await fill(await world.runtime.start(await world.spec('template', dataDir)))
  await world.runtime.stop('template', 'clean')
  await world.runtime.remove('template')
  const kept = undo.move()
  return { world, dataDir, [Symbol.asyncDispose]: () => kept.disposeAsync() }
}

/** Segments below /dev/shm that its first process has, as paths. */
export async function segmentsOf({ pid }: { pid?: number | undefined }): Promise<string[]> {
  return (await openProcessTable().sharedMemory(pid ?? 0))?.posix ?? []
}

export async function labQuery(instance: Instance, sql: string, database = 'postgres'): Promise<unknown[]> {
  return withLabConnection(instance, database, async (client) => (await client.query(sql)).rows)
}

export async function labScript(instance: Instance, sql: string, database = 'postgres', role?: string): Promise<void> {
  const options = { dataSession: true, ...(role !== undefined && { role }) }
  await withLabConnection(instance, database, (client) => client.query(sql), options)
}

/** One login, as a user of a clone has it. */
export async function asUser<T>(
  instance: Instance,
  login: { user: string; database?: string; password?: string },
  work: (query: (sql: string) => Promise<unknown[]>) => Promise<T>,
): Promise<T> {
  const client = new Client({
    host: '127.0.0.1',
    port: instance.port,
    database: login.database ?? 'postgres',
    user: login.user,
    password: login.password ?? PASSWORD,
    ssl: false,
    // The data of some tests says otherwise.
    options: '-c default_transaction_read_only=off',
  })
  try {
    await client.connect()
    return await work(async (sql) => (await client.query(sql)).rows)
  } finally {
    await client.end()
  }
}

/** A running clone of what `fill` made, ready for its user. */
export async function cloneWithUser(world: World, dataDir: string, username = 'ann', id = 'clone'): Promise<Instance> {
  const instance = await world.runtime.start(await world.spec(id, dataDir, { users: [username] }))
  await giveUser(instance, username)
  return instance
}

export async function giveUser(instance: Instance, username: string): Promise<void> {
  const verifier = await scramVerifier(PASSWORD)
  await setUpUser(instance, { database: 'postgres', username, verifier, allowSuperuser: false })
}

/** Opened once, by the first test that wants it, for all in the file that leave it as it was. */
export function oneForAll<T extends AsyncDisposable>(open: () => Promise<T>): () => Promise<T> {
  let kept: Promise<T> | undefined
  afterAll(async () => (await kept)?.[Symbol.asyncDispose]())
  return () => {
    kept ??= open()
    return kept
  }
}

export async function preparedTemplate(
  options: WorldOptions = {},
  fill: (instance: Instance) => Promise<void> = async () => undefined,
): Promise<Template> {
  return makeTemplate(options, async (instance) => {
    await fill(instance)
    await prepareBase(instance, { database: 'postgres' })
  })
}

/** A clone of the template in a world of its own, with a user. */
export async function openClone(template: Template, username = 'ann') {
  const world = await makeWorld()
  const instance = await cloneWithUser(world, await world.copyOf(template.dataDir, 'data'), username)
  return { world, instance, [Symbol.asyncDispose]: () => world[Symbol.asyncDispose]() }
}
