import { join } from 'node:path'
import pg from 'pg'
import { BareServer, CREATE_USER, prepareDataDir } from './bare-server.ts'
import type { BareSide } from './bare-side.ts'

/** Milliseconds of each part of what has to be done at least. */
export interface BareTimes {
  /** A writable volume of the snapshot: one call. */
  snapshot: number
  /** From the start of `postgres` until `postmaster.pid` says `ready`. */
  start: number
  /** A first session, over the socket, and `select 1` in it; 0 where the data has the role. */
  session: number
  /** The role with its password, in that session; 0 where the data has it. */
  role: number
  /** A connection over TCP with that password (SCRAM). */
  login: number
  /** `select 1`. */
  query: number
  sum: number
}

export interface BareClone extends AsyncDisposable {
  times: BareTimes
  server: BareServer
  /** Its name in the pool. */
  volume: string
}

let number = 0

/**
 * What a clone can't be had without, one after the other and nothing else: no request, no books, nothing to undo, nobody who looks after it. The
 * server is killed and the volume removed when disposed of, which is not timed.
 *
 * @param source of `Pool.sourceOf`
 * @param hasRole the data has the role of the clones' user, with the password
 */
export async function bareClone(
  { pool, place }: BareSide,
  source: string,
  database: string,
  { hasRole = false } = {},
): Promise<BareClone> {
  const volume = `clone-${++number}`
  const port = await place.ports.next()
  const parts = stopwatch()
  await using undo = new AsyncDisposableStack()
  await pool.snapshot(source, volume)
  const snapshot = parts()
  undo.defer(() => pool.remove(volume))
  const dataDir = join(pool.pathOf(volume), 'data')
  await prepareDataDir(dataDir)
  const server = await BareServer.start(dataDir, place, port)
  undo.defer(() => server.stop('immediate'))
  const start = parts()
  const { session, role } = hasRole ? { session: 0, role: 0 } : await makeRole(server, database, parts)
  const client = new pg.Client({ connectionString: server.url(database) })
  await client.connect()
  const login = parts()
  await client.query('select 1')
  const query = parts()
  await client.end()
  const made = undo.move()
  return {
    times: { snapshot, start, session, role, login, query, sum: snapshot + start + session + role + login + query },
    server,
    volume,
    [Symbol.asyncDispose]: () => made.disposeAsync(),
  }
}

async function makeRole(server: BareServer, database: string, parts: () => number) {
  const client = await server.session(database)
  await client.query('select 1')
  const session = parts()
  await client.query(CREATE_USER)
  const role = parts()
  // Its end is nobody's to wait for.
  void client.end()
  return { session, role }
}

/** The same data with the role in it, as a source for others. */
export async function sourceWithRole(
  side: BareSide,
  source: string,
  database: string,
): Promise<AsyncDisposable & { source: string }> {
  const { server, ...clone } = await bareClone(side, source, database)
  await using undo = new AsyncDisposableStack()
  undo.use(clone)
  await server.stop('fast')
  const made = await side.pool.sourceOfVolume(clone.volume)
  const kept = undo.move()
  return { source: made, [Symbol.asyncDispose]: () => kept.disposeAsync() }
}

/** Milliseconds since the last time that it was asked. */
function stopwatch(): () => number {
  let last = performance.now()
  return () => {
    const now = performance.now()
    const passed = now - last
    last = now
    return passed
  }
}

/** The times of one that is made and removed. */
export async function bareTimes(...given: Parameters<typeof bareClone>): Promise<BareTimes> {
  await using clone = await bareClone(...given)
  return clone.times
}
