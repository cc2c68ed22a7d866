import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { watch } from 'node:fs'
import { chown, mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type Account, labSettings, type PostgresBinaries } from '@dblab/provision'
import { execa } from 'execa'
import pg from 'pg'

export interface BaselineTimes {
  /** `btrfs subvolume snapshot`, the program. */
  snapshotMs: number
  /** From the start of `postgres` to the answer of a first `select 1` over its socket. */
  postgresMs: number
}

export interface Baseline extends AsyncDisposable {
  run(): Promise<BaselineTimes>
}

/** The same snapshot, the same server with the same settings, without a lab: no user, no password, no books, nothing to undo. */
export async function bareBaseline(
  { pool, snapshotFiles }: { pool: string; snapshotFiles: string },
  binaries: PostgresBinaries,
  account: Account,
): Promise<Baseline> {
  const directory = join(pool, 'bare')
  await mkdir(directory, { mode: 0o711 })
  const hba = join(directory, 'hba.conf')
  await writeFile(hba, 'local all all trust\n')
  await chown(directory, account.uid, account.gid)
  let number = 0
  return {
    run: () =>
      runOnce(join(directory, String(++number)), { snapshotFiles, hba, binaries, account, socketDir: directory }),
    [Symbol.asyncDispose]: () => rm(directory, { recursive: true }),
  }
}

interface Bare {
  snapshotFiles: string
  hba: string
  binaries: PostgresBinaries
  account: Account
  socketDir: string
}

async function runOnce(
  volume: string,
  { snapshotFiles, hba, binaries, account, socketDir }: Bare,
): Promise<BaselineTimes> {
  const begun = performance.now()
  await execa('btrfs', ['subvolume', 'snapshot', snapshotFiles, volume])
  const snapshotMs = performance.now() - begun
  const dataDir = join(volume, 'data')
  await rm(join(dataDir, 'postmaster.pid'), { force: true })
  const settings = {
    ...labSettings(binaries.major),
    listen_addresses: '',
    unix_socket_directories: socketDir,
    hba_file: hba,
    port: '5432',
  }
  const args = ['-D', dataDir, ...Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`])]
  const ready = untilReady(dataDir)
  const started = performance.now()
  const server = spawn(join(binaries.binDir, 'postgres'), args, {
    uid: account.uid,
    gid: account.gid,
    stdio: ['ignore', 'ignore', 'ignore'],
    env: { LC_ALL: 'C' },
  })
  const exited = once(server, 'exit')
  try {
    await Promise.race([ready, exited.then(() => Promise.reject(new Error('the bare server did not start')))])
    const client = new pg.Client({ host: socketDir, port: 5432, user: 'dblab', database: 'postgres' })
    await client.connect()
    await client.query('select 1')
    const postgresMs = performance.now() - started
    await client.end()
    return { snapshotMs, postgresMs }
  } finally {
    server.kill('SIGQUIT')
    await exited
    await execa('btrfs', ['subvolume', 'delete', volume])
  }
}

/** The eighth line of postmaster.pid says so: the same sign that the lab watches for. */
async function untilReady(dataDir: string): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  const watcher = watch(dataDir, () => {
    readFile(join(dataDir, 'postmaster.pid'), 'utf8').then(
      (text) => text.split('\n')[7]?.trim() === 'ready' && resolve(),
      (error: NodeJS.ErrnoException) => error.code === 'ENOENT' || reject(error),
    )
  })
  await promise.finally(() => watcher.close())
}
