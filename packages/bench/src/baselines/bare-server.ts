import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { watch } from 'node:fs'
import { readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { type Account, isSystemError, LAB_ROLE, type PostgresBinaries } from '@dblab/provision'
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
  readonly #process: ChildProcess

  private constructor(dataDir: string, port: number, place: ServerPlace, child: ChildProcess) {
    this.dataDir = dataDir
    this.port = port
    this.pid = child.pid ?? Number.NaN
    this.#place = place
    this.#process = child
  }

  /**
   * Resolves once it takes connections, which is seen as the lab sees it: postmaster.pid says so. A postmaster.pid that a copy has brought
   * is to be removed before.
   *
   * @throws Error when it ends before
   */
  static async start(dataDir: string, place: ServerPlace, port: number): Promise<BareServer> {
    const ready = untilReady(dataDir)
    const child = spawn(join(place.binaries.binDir, 'postgres'), serverArguments(dataDir, place, port), {
      uid: place.account.uid,
      gid: place.account.gid,
      cwd: dataDir,
      stdio: 'ignore',
      // Of a session of its own: an interrupt is for us, who then stop it.
      detached: true,
      env: { PATH: '/usr/local/bin:/usr/bin:/bin', LC_ALL: 'C' },
    })
    const ended = once(child, 'exit').then(() =>
      Promise.reject(new Error(`the bare server on ${dataDir} did not start`)),
    )
    try {
      await Promise.race([ready.done, ended])
    } finally {
      ready.giveUp()
      ended.catch(() => {})
    }
    const server = new BareServer(dataDir, port, place, child)
    place.running.add(server)
    return server
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
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) return
    const exited = once(this.#process, 'exit')
    this.#process.kill(mode === 'fast' ? 'SIGINT' : 'SIGQUIT')
    await exited
    this.#place.running.delete(this)
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
