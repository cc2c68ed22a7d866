import { watch } from 'node:fs'
import { readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { type Account, isSystemError, LAB_ROLE, type PostgresBinaries } from '@dblab/provision'
import { type LaunchedServer, launchServer } from '@dblab/provision/testbed/small-process'
import pg from 'pg'
import { PASSWORD, USER } from '../lab/clones.ts'
import type { BarePorts } from '../lab/ports.ts'

/** Makes the user that clones have, as a plain role. The server derives the verifier of the password. */
export const CREATE_USER = `create role ${USER} login password '${PASSWORD}'`

export interface ServerPlace {
  binaries: PostgresBinaries
  account: Account
  /** Whoever is on the machine comes in here without a password; over TCP nobody does. */
  socketDir: string
  hbaFile: string
  settings: Record<string, string>
  ports: BarePorts
  /** Those that run, for who has to end them all. */
  running: Set<BareServer>
}

/** A plain `postgres` on a data directory, which nobody looks after. */
export class BareServer {
  readonly dataDir: string
  readonly port: number
  readonly pid: number
  readonly #place: ServerPlace
  readonly #process: LaunchedServer

  private constructor(dataDir: string, port: number, place: ServerPlace, launched: LaunchedServer) {
    this.dataDir = dataDir
    this.port = port
    this.pid = launched.pid
    this.#place = place
    this.#process = launched
  }

  /**
   * Resolves once it takes connections, which is seen as the lab sees it: postmaster.pid says so. A postmaster.pid that a copy has brought
   * is to be removed before. It is started as the lab starts its own, from a process that is small: a fork of this one would take longer.
   *
   * @throws Error when it ends before
   */
  static async start(dataDir: string, place: ServerPlace, port: number): Promise<BareServer> {
    const ready = untilReady(dataDir)
    try {
      const { account, binaries } = place
      const args = serverArguments(dataDir, place, port)
      const launched = await launchServer({ binDir: binaries.binDir, args, dataDir, logFile: '/dev/null', account })
      const ended = launched.exited.then(() => Promise.reject(new Error(`the bare server on ${dataDir} did not start`)))
      ended.catch(() => {})
      await Promise.race([ready.done, ended])
      const server = new BareServer(dataDir, port, place, launched)
      place.running.add(server)
      return server
    } finally {
      ready.giveUp()
    }
  }

  /** Where it listens for who is on the machine. */
  get socketDir(): string {
    return this.#place.socketDir
  }

  /** Of the user, where the data has it already: a snapshot of a clone keeps no password. */
  async setPassword(database: string): Promise<void> {
    await this.asSuperuser(database, (client) => client.query(`alter role ${USER} login password '${PASSWORD}'`))
  }

  /** Over the socket, as the superuser that the lab's data has. */
  async asSuperuser<T>(database: string, work: (client: pg.Client) => Promise<T>): Promise<T> {
    const client = await this.session(database)
    try {
      return await work(client)
    } finally {
      await client.end()
    }
  }

  /** The caller's to end. */
  async session(database: string): Promise<pg.Client> {
    const client = new pg.Client({ host: this.#place.socketDir, port: this.port, user: LAB_ROLE, database })
    await client.connect()
    return client
  }

  /** Of the clones' user, over TCP. */
  url(database: string): string {
    return `postgresql://${USER}:${encodeURIComponent(PASSWORD)}@127.0.0.1:${this.port}/${database}`
  }

  /** `fast` shuts down cleanly; `immediate` leaves the data to be recovered, or thrown away. */
  async stop(mode: 'fast' | 'immediate'): Promise<void> {
    if (!this.#place.running.delete(this)) return
    try {
      process.kill(this.pid, mode === 'fast' ? 'SIGINT' : 'SIGQUIT')
    } catch (error) {
      // It has ended by itself.
      if (!isSystemError(error, 'ESRCH')) throw error
    }
    await this.#process.exited
  }
}

/** What a copy of a cluster may have brought, and a server would take for another one's. */
export async function prepareDataDir(dataDir: string): Promise<void> {
  await rm(join(dataDir, 'postmaster.pid'), { force: true })
}

function serverArguments(dataDir: string, { settings, socketDir, hbaFile }: ServerPlace, port: number): string[] {
  const all = {
    ...settings,
    listen_addresses: '127.0.0.1',
    port: String(port),
    unix_socket_directories: socketDir,
    hba_file: hbaFile,
  }
  return ['-D', dataDir, ...Object.entries(all).flatMap(([name, value]) => ['-c', `${name}=${value}`])]
}

/** The eighth line of postmaster.pid says it (LOCK_FILE_LINE_PM_STATUS, src/include/utils/pidfile.h). */
function untilReady(dataDir: string): { done: Promise<void>; giveUp: () => void } {
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  const watcher = watch(dataDir, (_event, name) => {
    if (name !== 'postmaster.pid') return
    readFile(join(dataDir, 'postmaster.pid'), 'utf8').then(
      (text) => text.split('\n')[7]?.trim() === 'ready' && resolve(),
      (error: unknown) => isSystemError(error, 'ENOENT') || reject(error),
    )
  })
  return { done: promise, giveUp: () => watcher.close() }
}
