import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { isDeepStrictEqual } from 'node:util'
import {
  type Account,
  binarySource,
  findAccount,
  type PostgresBinaries,
  type Profile,
  profileSettings,
} from '@dblab/provision'
import { freePort } from '@dblab/provision/testbed/ports'
import { startSmallProcess } from '@dblab/provision/testbed/small-process'
import { type Lab, openLab } from '@dblab/sdk'
import { execa } from 'execa'
import { stringify } from 'yaml'
import NODE_FLAGS from '../../../../apps/server/node-flags.json' with { type: 'json' }
import type { BareServer } from '../baselines/bare-server.ts'
import { btrfsPool } from '../pools/btrfs.ts'
import type { BenchDriver, Pool } from '../pools/pool.ts'
import { zfsPool } from '../pools/zfs.ts'
import { BarePorts, CLONE_PORTS } from './ports.ts'

/** The built server, as users run it. */
const MAIN = fileURLToPath(new URL('../../../../apps/server/dist/main.js', import.meta.url))
export const TOKEN = 'a-token-for-the-benchmark'

export interface LabOptions {
  driver: BenchDriver
  /** The ZFS dataset to work below; left out, a pool in a file. */
  dataset: string | undefined
  /** Of the sample database: 1 is about 300 MB. */
  scale: number
  /** Major of Postgres; left out, the embedded one. */
  version?: number | undefined
  /** Where its programs are, if not where the lab looks by itself. */
  binDir?: string | undefined
  configuration: LabConfiguration
}

/** What can be changed while there is data: the server is started anew. */
export interface LabConfiguration {
  /** Of its clones. */
  profile: Profile
  /** Settings over those of the profile. */
  settings?: Record<string, string>
  /** How many instances are prepared; none if left out. */
  warm?: number
}

/** A lab of its own with a sample database, as a first start makes it, and all that is needed for doing the same without it. */
export class BenchLab implements AsyncDisposable {
  readonly directory: string
  readonly pool: Pool
  readonly client: Lab
  readonly account: Account
  readonly binaries: PostgresBinaries
  /** Those that run on its pool: they end with it. */
  readonly bareServers = new Set<BareServer>()
  readonly barePorts = new BarePorts()
  readonly #port: number
  readonly #options: LabOptions
  #configuration: LabConfiguration
  #server: ChildProcess | undefined
  #removed: Promise<void> | undefined

  private constructor(
    options: LabOptions,
    at: { directory: string; pool: Pool; port: number; account: Account; binaries: PostgresBinaries },
  ) {
    this.#options = options
    this.#configuration = options.configuration
    this.#port = at.port
    this.directory = at.directory
    this.pool = at.pool
    this.account = at.account
    this.binaries = at.binaries
    this.client = openLab({ url: `http://127.0.0.1:${at.port}`, token: TOKEN })
  }

  /** Makes one; removed when disposed of. */
  static async open(options: LabOptions): Promise<BenchLab> {
    startSmallProcess()
    const directory = await mkdtemp(join(tmpdir(), 'dblab-bench-'))
    await chmod(directory, 0o711)
    const pool = options.driver === 'zfs' ? await zfsPool(options.dataset) : btrfsPool(join(directory, '.dblab/pool'))
    const account = await findAccount()
    const configured = options.binDir === undefined ? [] : [options.binDir]
    const binaries = await binarySource({ account, copiesDir: join(directory, 'binaries'), configured })(
      options.version,
    )
    const lab = new BenchLab(options, { directory, pool, port: await freePort(), account, binaries })
    try {
      await lab.start()
      await pool.open()
      return lab
    } catch (error) {
      await lab[Symbol.asyncDispose]()
      throw error
    }
  }

  /** What clones' Postgres is set to. */
  get settings(): Record<string, string> {
    const { profile, settings } = this.#configuration
    return { ...profileSettings(profile, this.binaries.major), ...settings }
  }

  /** Process of the server. */
  get serverPid(): number {
    const pid = this.#server?.pid
    if (pid === undefined) throw new Error('the server does not run')
    return pid
  }

  /** Starts the server anew where the configuration is another one. */
  async configure(configuration: LabConfiguration): Promise<void> {
    if (isDeepStrictEqual(configuration, this.#configuration)) return
    await this.stop()
    this.#configuration = configuration
    await this.start()
  }

  async start(): Promise<void> {
    await writeFile(join(this.directory, 'dblab.yaml'), stringify(this.#file()))
    // Of a session of its own: an interrupt is for us, who then stop it.
    const server = spawn(process.execPath, [...NODE_FLAGS, MAIN, 'start'], {
      cwd: this.directory,
      env: environment(),
      stdio: ['ignore', 'pipe', 'inherit'],
      detached: true,
    })
    this.#server = server
    await saysReady(server)
  }

  /** Ends the server; the clones go on. */
  async stop(): Promise<void> {
    const server = this.#server
    this.#server = undefined
    if (!server || server.exitCode !== null) return
    const exited = once(server, 'exit')
    server.kill('SIGTERM')
    await exited
  }

  /** Twice is fine. */
  [Symbol.asyncDispose](): Promise<void> {
    this.#removed ??= this.#remove()
    return this.#removed
  }

  async #remove(): Promise<void> {
    await this.client.close()
    for (const server of this.bareServers) await server.stop('immediate')
    await this.stop()
    await execa(process.execPath, [MAIN, 'destroy', '--yes'], {
      cwd: this.directory,
      env: environment(),
      extendEnv: false,
      stderr: 'inherit',
    })
    await this.pool[Symbol.asyncDispose]()
    await rm(this.directory, { recursive: true })
  }

  #file() {
    const { scale, version, binDir } = this.#options
    const { profile, settings = {}, warm = 0 } = this.#configuration
    return {
      port: this.#port,
      logLevel: 'warn',
      storage: this.pool.storage,
      sample: { scale },
      postgres: { settings, ...(version && { version }), ...(binDir && { binDir }) },
      clones: { portFrom: CLONE_PORTS.from, portTo: CLONE_PORTS.to, profile, warm },
    }
  }
}

function environment() {
  return { PATH: process.env.PATH, TMPDIR: tmpdir(), DBLAB_TOKEN: TOKEN }
}

/** @throws Error when it ends without having said so */
async function saysReady(server: ChildProcess): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  server.once('exit', () => reject(new Error('the lab did not start')))
  // Goes on being read, or the server would wait for us at last.
  server.stdout?.setEncoding('utf8').on('data', (text: string) => text.includes('is ready') && resolve())
  await promise
}
