import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { appendFile, chmod, chown, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Account, findAccount, type PostgresBinaries, run } from '@dblab/provision'
import { freePort, isRoot } from '@dblab/provision/testbed'
import { Client } from 'pg'
import { eventually } from '../support/lab.ts'

/** The password of the role that the lab reads with: with what a password file must escape. */
export const DUMP_PASSWORD = String.raw`s:e\c'ret`

export interface LiveSourceOptions {
  /** Where it is; a directory of its own, if left out. */
  directory?: string
  settings?: Record<string, string>
  /** Of initdb. */
  initdb?: string[]
  /** Where it listens. */
  host?: string
  /** Of its pg_hba.conf, before those that let everybody in with a password. */
  hba?: string[]
  /** What its server is started through, as root: a program that becomes it, as the account. */
  through?: string[]
}

/** A PostgreSQL server as a company runs one: its own superuser `postgres`, passwords over TCP, and a role `dump` that may read all. */
export class LiveSource implements AsyncDisposable {
  readonly binaries: PostgresBinaries
  readonly directory: string
  readonly host: string
  readonly port: number
  readonly account: Account
  readonly #through: readonly string[]
  #server: ChildProcess | undefined

  private constructor(
    binaries: PostgresBinaries,
    at: { directory: string; host: string; port: number },
    account: Account,
    through: readonly string[],
  ) {
    this.binaries = binaries
    this.directory = at.directory
    this.host = at.host
    this.port = at.port
    this.account = account
    this.#through = through
  }

  static async make(binaries: PostgresBinaries, options: LiveSourceOptions = {}): Promise<LiveSource> {
    const { settings = {}, initdb = [], host = '127.0.0.1', hba = [], through = [] } = options
    const account = await findAccount()
    const directory = options.directory ?? (await mkdtemp(join(tmpdir(), 'dblab-source-')))
    await chmod(directory, 0o755)
    const source = new LiveSource(binaries, { directory, host, port: await freePort() }, account, through)
    await mkdir(source.dataDir, { mode: 0o700 })
    await mkdir(source.socketDir)
    if (isRoot) for (const path of [source.dataDir, source.socketDir]) await chown(path, account.uid, account.gid)
    const own = ['--username=postgres', '--auth-local=trust', '--auth-host=scram-sha-256', '--no-sync']
    const locale = initdb.length > 0 ? initdb : ['--locale=C', '--encoding=UTF8']
    const as = isRoot ? { account } : {}
    await run([join(binaries.binDir, 'initdb'), '-D', source.dataDir, ...own, ...locale], { ...as, cwd: '/' })
    const all = { fsync: 'off', max_wal_size: '2GB', wal_level: 'replica', max_wal_senders: '10', ...settings }
    const lines = Object.entries(all).map(([name, value]) => `${name} = '${value}'\n`)
    await appendFile(join(source.dataDir, 'postgresql.conf'), lines.join(''))
    const admitted = [...hba, 'local all,replication all trust', 'host all,replication all 0.0.0.0/0 scram-sha-256']
    await writeFile(join(source.dataDir, 'pg_hba.conf'), admitted.map((line) => `${line}\n`).join(''))
    await source.start()
    const client = source.client('postgres')
    await client.connect()
    await client.query(`CREATE ROLE dump LOGIN PASSWORD ${client.escapeLiteral(DUMP_PASSWORD)}`)
    if (binaries.major >= 14) await client.query('GRANT pg_read_all_data TO dump')
    await client.end()
    return source
  }

  get dataDir(): string {
    return join(this.directory, 'data')
  }

  get socketDir(): string {
    return join(this.directory, 'socket')
  }

  /** For a lab's configuration. */
  url(database: string, user = 'dump'): string {
    return `postgresql://${user}@${this.host}:${this.port}/${database}`
  }

  client(database: string): Client {
    const client = new Client({ host: this.socketDir, port: this.port, user: 'postgres', database })
    client.on('error', () => undefined)
    return client
  }

  /** Statements, one after the other, as the superuser. Returns the rows of the last. */
  async query<Row extends object>(database: string, ...statements: string[]): Promise<Row[]> {
    const client = this.client(database)
    await client.connect()
    try {
      let rows: Row[] = []
      for (const statement of statements) rows = (await client.query<Row>(statement)).rows
      return rows
    } finally {
      await client.end()
    }
  }

  /** What is connected as the lab's role. */
  async sessions(): Promise<{ pid: number; age: number; state: string }[]> {
    return this.query(
      'postgres',
      `SELECT pid, state, coalesce(extract(epoch FROM clock_timestamp() - xact_start), 0)::float AS age
       FROM pg_stat_activity WHERE usename = 'dump'`,
    )
  }

  async start(): Promise<void> {
    const { binDir } = this.binaries
    const listen = ['-c', `listen_addresses=${this.host}`, '-c', `port=${this.port}`]
    const socket = ['-c', `unix_socket_directories=${this.socketDir}`]
    const argv = [...this.#through, join(binDir, 'postgres'), '-D', this.dataDir, ...listen, ...socket]
    this.#server = spawn(argv[0] ?? '', argv.slice(1), {
      cwd: '/',
      stdio: 'ignore',
      ...(isRoot && this.#through.length === 0 && { uid: this.account.uid, gid: this.account.gid }),
    })
    await eventually('the source answers', async () => {
      const client = this.client('postgres')
      return client.connect().then(
        () => client.end().then(() => true),
        () => false,
      )
    })
  }

  /** At once, as after a crash. */
  async stop(signal: NodeJS.Signals = 'SIGQUIT'): Promise<void> {
    const server = this.#server
    this.#server = undefined
    if (!server || server.exitCode !== null) return
    server.kill(signal)
    await once(server, 'exit')
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop()
    await rm(this.directory, { recursive: true, force: true })
  }
}
