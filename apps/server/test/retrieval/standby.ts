import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { appendFile, chmod, chown, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { run } from '@dblab/provision'
import { freePort, isRoot } from '@dblab/provision/testbed'
import { Client } from 'pg'
import { eventually } from '../support/lab.ts'
import type { LiveSource } from './live-source.ts'

/** A standby of a source that the lab has nothing to do with: what its data must be like. */
export class Standby implements AsyncDisposable {
  readonly #source: LiveSource
  readonly #directory: string
  readonly #port: number
  #server: ChildProcess | undefined

  private constructor(source: LiveSource, directory: string, port: number) {
    this.#source = source
    this.#directory = directory
    this.#port = port
  }

  /** A copy of the source as it is now, which has not replayed anything yet. */
  static async make(source: LiveSource): Promise<Standby> {
    const directory = await mkdtemp(join(tmpdir(), 'dblab-standby-'))
    await chmod(directory, 0o755)
    const standby = new Standby(source, directory, await freePort())
    await mkdir(join(directory, 'socket'))
    const { account, binaries, socketDir, port } = source
    if (isRoot) for (const path of [directory, join(directory, 'socket')]) await chown(path, account.uid, account.gid)
    const from = `host=${socketDir} port=${port} user=postgres`
    await run(
      [join(binaries.binDir, 'pg_basebackup'), '-D', join(directory, 'data'), '-d', from, '-X', 'none', '-c', 'fast'],
      {
        ...(isRoot && { account }),
        cwd: '/',
      },
    )
    return standby
  }

  /** Replays up to the record at an LSN, with it, and stays there to be read. */
  async replayTo(lsn: string): Promise<void> {
    const { account, binaries, socketDir, port } = this.#source
    const data = join(this.#directory, 'data')
    const settings = {
      primary_conninfo: `host=${socketDir} port=${port} user=postgres`,
      recovery_target_lsn: lsn,
      recovery_target_action: 'pause',
      listen_addresses: '',
      unix_socket_directories: join(this.#directory, 'socket'),
      port: String(this.#port),
    }
    const lines = Object.entries(settings).map(([name, value]) => `${name} = '${value}'\n`)
    await appendFile(join(data, 'postgresql.conf'), lines.join(''))
    await writeFile(join(data, 'standby.signal'), '')
    this.#server = spawn(join(binaries.binDir, 'postgres'), ['-D', data], {
      cwd: '/',
      stdio: 'ignore',
      ...(isRoot && { uid: account.uid, gid: account.gid }),
    })
    await eventually('the standby is where it is to be', async () => {
      const client = this.client('postgres')
      try {
        await client.connect()
        const { rows } = await client.query<{ paused: boolean }>(
          `SELECT pg_get_wal_replay_pause_state() = 'paused' AS paused`,
        )
        return rows[0]?.paused === true
      } catch (error) {
        if (error instanceof Error) return false
        throw error
      } finally {
        await client.end().catch(() => undefined)
      }
    })
  }

  client(database: string): Client {
    const client = new Client({ host: join(this.#directory, 'socket'), port: this.#port, user: 'postgres', database })
    client.on('error', () => undefined)
    return client
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#server && this.#server.exitCode === null) {
      this.#server.kill('SIGQUIT')
      await once(this.#server, 'exit')
    }
    await rm(this.#directory, { recursive: true, force: true })
  }
}
