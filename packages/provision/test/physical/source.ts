import { chmod, chown, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Client } from 'pg'
import { type Account, type PostgresBinaries, run } from '../../src/index.ts'
import { freePort, isRoot } from '../../testbed/index.ts'

/** A server as others have one, which knows nothing of the lab: run by hand, on a directory of its own. */
export interface Source extends AsyncDisposable {
  root: string
  dataDir: string
  port: number
  /** Of its socket. */
  sockets: string
  binaries: PostgresBinaries
  account: Account
  /** A directory of the account's, beside the data. */
  directory(name: string): Promise<string>
  query(sql: string, database?: string, user?: string): Promise<Record<string, unknown>[]>
  /** As the account of the server. */
  run(program: string, ...args: string[]): Promise<string>
  start(): Promise<void>
  stop(mode?: 'fast' | 'immediate'): Promise<void>
  configure(lines: string): Promise<void>
  /** Work in one session. */
  session<T>(work: (query: (sql: string) => Promise<Record<string, unknown>[]>) => Promise<T>): Promise<T>
  write(path: string, text: string): Promise<void>
}

export interface SourceOptions {
  superuser?: string
  initdb?: string[]
  /** Lines of postgresql.conf. */
  settings?: string
}

export async function openSource(
  account: Account,
  binaries: PostgresBinaries,
  { superuser = 'postgres', initdb = [], settings = '' }: SourceOptions = {},
): Promise<Source> {
  const root = await mkdtemp('/var/tmp/dblab-source-')
  await chmod(root, 0o711)
  if (isRoot) await chown(root, account.uid, account.gid)
  const port = await freePort()
  const as = (argv: [string, ...string[]]) => run(argv, { ...(isRoot && { account }), cwd: root })
  const program = (name: string) => join(binaries.binDir, name)
  const directory = async (name: string) => {
    const path = join(root, name)
    await mkdir(path, { mode: 0o700 })
    if (isRoot) await chown(path, account.uid, account.gid)
    return path
  }
  const dataDir = await directory('source')
  const sockets = await directory('sockets')
  const conf = join(dataDir, 'postgresql.conf')
  const append = async (lines: string) => {
    await run(['tee', '-a', conf], { ...(isRoot && { account }), input: `${lines}\n` })
  }
  const connected = async <T>(
    as: { user: string; database: string },
    work: (query: (sql: string) => Promise<Record<string, unknown>[]>) => Promise<T>,
  ) => {
    const client = new Client({ host: sockets, port, ...as, ssl: false })
    await client.connect()
    try {
      return await work(async (sql) => {
        const result: unknown = await client.query(sql)
        return isResult(result) ? result.rows : []
      })
    } finally {
      await client.end()
    }
  }
  const source: Source = {
    root,
    dataDir,
    port,
    sockets,
    binaries,
    account,
    directory,
    query: (sql, database = 'postgres', user = superuser) => connected({ user, database }, (query) => query(sql)),
    session: (work) => connected({ user: superuser, database: 'postgres' }, work),
    async write(path, text) {
      await run(['tee', path], { ...(isRoot && { account }), input: text })
    },
    run: async (name, ...args) => (await as([name.includes('/') ? name : program(name), ...args])).stdout,
    async start() {
      await as([program('pg_ctl'), 'start', '-w', '-t', '60', '-D', dataDir, '-l', join(root, 'server.log')])
    },
    async stop(mode = 'fast') {
      await as([program('pg_ctl'), 'stop', '-w', '-t', '60', '-m', mode, '-D', dataDir])
    },
    configure: append,
    async [Symbol.asyncDispose]() {
      await source.stop('immediate').catch(() => undefined)
      await rm(root, { recursive: true, force: true })
    },
  }
  await as([
    program('initdb'),
    '-D',
    dataDir,
    '-U',
    superuser,
    '--auth=trust',
    '--encoding=UTF8',
    '--no-locale',
    ...initdb,
  ])
  await append(`port = ${port}
listen_addresses = '127.0.0.1'
unix_socket_directories = '${sockets}'
max_prepared_transactions = 7
max_wal_senders = 8
wal_level = logical
fsync = off
shared_buffers = 32MB
${settings}`)
  await writeFile(
    join(dataDir, 'pg_hba.conf'),
    'local all all trust\nlocal replication all trust\nhost replication all 127.0.0.1/32 scram-sha-256\n',
  )
  await source.start()
  return source
}

/** One text for each table and sequence of a database that is the data's own and that nobody holds, equal where all rows are. */
export async function checksums(query: (sql: string) => Promise<unknown[]>): Promise<Map<string, string>> {
  const tables = await query(
    `select format('%I.%I', n.nspname, c.relname) as name from pg_class c join pg_namespace n on n.oid = c.relnamespace
     where c.relkind in ('r', 'S') and c.relpersistence = 'p' and c.relname <> 'held' and n.nspname not in ('pg_catalog', 'information_schema', 'pg_toast') order by 1`,
  )
  const sums = new Map<string, string>()
  for (const { name } of tables as { name: string }[]) {
    const [row] = await query(`select md5(string_agg(t::text, '|' order by t::text)) as sum from ${name} t`)
    sums.set(name, String((row as { sum: string | null }).sum))
  }
  return sums
}

/** Several statements have several. */
function isResult(result: unknown): result is { rows: Record<string, unknown>[] } {
  return typeof result === 'object' && result !== null && 'rows' in result
}
