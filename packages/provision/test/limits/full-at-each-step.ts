import { expect } from 'vitest'
import {
  type CloneSpec,
  type Instance,
  isProvisionError,
  isSystemError,
  openStorage,
  type PostgresRuntime,
  Provisioner,
  type StorageConfig,
  type StorageDriver,
  scramVerifier,
  withLabConnection,
} from '../../src/index.ts'
import { type Ballast, freePort } from '../../testbed/index.ts'
import { makeWorld, type World } from '../postgres/world.ts'

export interface Pool {
  config: Pick<StorageConfig, 'driver' | 'root' | 'dataset' | 'image'>
  ballast: Ballast
}

interface Operation {
  name: string
  work(provisioner: Provisioner): Promise<unknown>
  /** Takes away what it made. */
  undo(provisioner: Provisioner): Promise<void>
}

/** The calls that write: before and after each of them the pool is filled once. */
const WRITING = ['clone', 'createVolume', 'snapshot', 'initialise', 'start', 'stop']
const BASE = { volumeId: 'base', snapshotId: 'first' }
const CRASHED = { volumeId: 'running', snapshotId: 'crashed' }
const DATABASE = 'main'
const LOGIN = { username: 'ann', database: DATABASE, password: 'pass word' }

/**
 * Fills a pool to its last byte before and after each call that an operation makes to the storage or to Postgres, one after the other. Each
 * time the operation is done all the same, or refused for lack of space with nothing left of it, and the clone that runs beside goes on.
 *
 * @returns where it was filled, and what came of it
 */
export async function fillAtEachStep(pool: Pool): Promise<string[]> {
  await using stack = new AsyncDisposableStack()
  const world = await makeWorld()
  const { driver, destroy } = await openStorage({ ...pool.config, labId: 'lab', owner: world.account })
  stack.defer(destroy)
  stack.use(world)
  const plain = provisionerOf(driver, world.runtime)
  const { running, made } = await prepare(plain)
  const before = await content(driver, world)
  const findings: string[] = []
  for (const { name, work, undo } of operations(running, made)) {
    for (let point = 0; ; point++) {
      const filling = new Filling(point, () => pool.ballast.leave(0))
      const outcome = await outcomeOf(work(provisionerOf(filling.around(driver), filling.around(world.runtime))))
      await pool.ballast.release()
      if (outcome === 'done') await undo(plain)
      // What a lack of space has ended comes back once there is room.
      if ((await world.runtime.inspect('running'))?.state !== 'running') await plain.startClone(running)
      expect(await content(driver, world), `${name}, filled ${filling.at}`).toEqual(before)
      if (filling.at === undefined) break
      findings.push(`${name}, filled ${filling.at}: ${outcome}`)
    }
  }
  expect(await rows(await instanceOf(world, 'running'))).toBe(1000)
  return findings
}

async function prepare(provisioner: Provisioner): Promise<Record<'running' | 'made', CloneSpec>> {
  await provisioner.createBase({ volumeId: BASE.volumeId, databases: [DATABASE], port: await freePort() }, fillBase)
  await provisioner.snapshotStopped(BASE.volumeId, BASE.snapshotId)
  const login = { ...LOGIN, verifier: await scramVerifier(LOGIN.password) }
  const port = await freePort()
  const specs = {
    running: { volumeId: 'running', from: BASE, port, login },
    made: { volumeId: 'made', from: BASE, port: await freePort(), login },
  }
  await provisioner.createClone(specs.running)
  await provisioner.snapshotRunning(specs.running, CRASHED.snapshotId)
  return specs
}

function operations(running: CloneSpec, made: CloneSpec): Operation[] {
  const destroyMade = (provisioner: Provisioner) => provisioner.destroyVolume('made')
  return [
    { name: 'create', work: (provisioner) => provisioner.createClone(made), undo: destroyMade },
    {
      name: 'reset',
      work: (provisioner) => provisioner.resetClone('running', { ...running, volumeId: 'made' }),
      undo: destroyMade,
    },
    {
      name: 'snapshot of a running clone',
      work: (provisioner) => provisioner.snapshotRunning(running, 'another'),
      undo: (provisioner) => provisioner.storage.destroySnapshot({ volumeId: 'running', snapshotId: 'another' }),
    },
    {
      name: 'publishing it',
      work: (provisioner) =>
        provisioner.recoverSnapshot(CRASHED, { volumeId: 'made', snapshotId: 'published', database: DATABASE }),
      undo: async (provisioner) => {
        await provisioner.storage.destroySnapshot({ volumeId: 'made', snapshotId: 'published' })
        await destroyMade(provisioner)
      },
    },
    {
      name: 'import',
      work: async (provisioner) =>
        provisioner.createBase({ volumeId: 'made', databases: [DATABASE], port: await freePort() }, fillBase),
      undo: destroyMade,
    },
    {
      name: 'snapshot of the base',
      work: (provisioner) => provisioner.snapshotStopped(BASE.volumeId, 'second'),
      undo: (provisioner) => provisioner.storage.destroySnapshot({ volumeId: BASE.volumeId, snapshotId: 'second' }),
    },
  ]
}

async function fillBase(instance: Instance): Promise<void> {
  await withLabConnection(instance, 'postgres', (client) => client.query(`CREATE DATABASE ${DATABASE}`))
  await withLabConnection(instance, DATABASE, (client) =>
    client.query('CREATE TABLE public.kept AS SELECT i FROM generate_series(1, 1000) i'),
  )
}

async function rows(instance: Instance): Promise<number> {
  return withLabConnection(instance, DATABASE, async (client) => {
    const found = await client.query<{ count: number }>('SELECT count(*)::int FROM public.kept')
    return found.rows[0]?.count ?? 0
  })
}

/** Fills the pool once, at one point of those that are passed. */
class Filling {
  readonly #point: number
  readonly #fill: () => Promise<void>
  #passed = 0
  /** Where it was filled; undefined while it was not. */
  at: string | undefined

  constructor(point: number, fill: () => Promise<void>) {
    this.#point = point
    this.#fill = fill
  }

  /** The same, but for a pool that fills up around its calls. */
  around<T extends StorageDriver | PostgresRuntime>(target: T): T {
    return new Proxy(target, {
      get: (_, name) => {
        const value: unknown = Reflect.get(target, name, target)
        if (typeof value !== 'function') return value
        return async (...args: unknown[]) => {
          await this.#pass(`before ${String(name)}`, String(name))
          const result: unknown = await value.apply(target, args)
          await this.#pass(`after ${String(name)}`, String(name))
          return result
        }
      },
    })
  }

  async #pass(where: string, call: string): Promise<void> {
    if (!WRITING.includes(call) || this.#passed++ !== this.#point) return
    this.at = where
    await this.#fill()
  }
}

async function outcomeOf(work: Promise<unknown>): Promise<'done' | 'NO_SPACE'> {
  try {
    await work
    return 'done'
  } catch (error) {
    const first = firstCause(error)
    // Of a file that is no driver's and no server's, the system's own error.
    if (isProvisionError(first, 'NO_SPACE') || isSystemError(first, 'ENOSPC')) return 'NO_SPACE'
    throw error
  }
}

function firstCause(error: unknown): unknown {
  return error instanceof SuppressedError ? firstCause(error.suppressed) : error
}

async function content(driver: StorageDriver, world: World): Promise<unknown> {
  return {
    volumes: (await driver.listVolumes()).map(({ id }) => id).sort(),
    snapshots: (await driver.listSnapshots()).map(({ snapshotId }) => snapshotId).sort(),
    instances: (await world.runtime.list()).map(({ id }) => id).sort(),
  }
}

async function instanceOf(world: World, id: string): Promise<Instance> {
  const instance = await world.runtime.inspect(id)
  if (!instance) throw new Error(`there is no instance ${id}`)
  return instance
}

function provisionerOf(storage: StorageDriver, runtime: PostgresRuntime): Provisioner {
  return new Provisioner({ storage, runtime, host: '127.0.0.1', settings: {}, allowSuperusers: false })
}
