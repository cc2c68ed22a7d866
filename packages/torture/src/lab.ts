import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createWriteStream, existsSync, type WriteStream } from 'node:fs'
import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Fault } from '@dblab/provision'
import { freePort, freePortRange, type PortRange } from '@dblab/provision/testbed/ports'
import { stringify } from 'yaml'
import NODE_FLAGS from '../../../apps/server/node-flags.json' with { type: 'json' }
import { unmountBelow } from './machine.ts'
import { Violation } from './violation.ts'

/** The built server, as users run it. */
const MAIN = fileURLToPath(new URL('../../../apps/server/dist/main.js', import.meta.url))

/** Nothing that the server does at a start takes so long, unless it is stuck. */
const START_DEADLINE_MS = 120_000
const MIB = 2 ** 20

export interface LabOptions {
  driver: 'btrfs' | 'zfs' | 'reflink' | 'copy'
  /** For zfs: a dataset to keep the labs below. */
  dataset: string | undefined
}

export interface Ended {
  killed: boolean
  code: number | null
}

/** A lab in a directory of its own, whose server is started again and again, and never trusted. */
export class TorturedLab {
  readonly directory: string
  readonly options: LabOptions
  readonly url: string
  readonly token = 'a-token-for-the-torture-test'
  readonly #port: number
  readonly #ports: PortRange
  readonly #log: WriteStream
  #imageMib = 1024
  #hasQuotas = false
  #server: ChildProcess | undefined

  private constructor(directory: string, options: LabOptions, port: number, ports: PortRange) {
    this.directory = directory
    this.options = options
    this.#port = port
    this.#ports = ports
    this.url = `http://127.0.0.1:${port}`
    this.#log = createWriteStream(join(directory, 'server.log'), { flags: 'a' })
  }

  /** Makes the directory and the configuration; the first start makes the lab. */
  static async make(options: LabOptions): Promise<TorturedLab> {
    const directory = await mkdtemp(join(tmpdir(), 'dblab-torture-'))
    // The account of Postgres must be able to pass it.
    await chmod(directory, 0o711)
    const lab = new TorturedLab(directory, options, await freePort(), await freePortRange())
    await lab.#configure()
    return lab
  }

  get isUp(): boolean {
    return this.#server !== undefined && this.#server.exitCode === null && this.#server.signalCode === null
  }

  get pid(): number | undefined {
    return this.isUp ? this.#server?.pid : undefined
  }

  get ports(): Pick<PortRange, 'from' | 'to'> {
    return this.#ports
  }

  get snapshotsAreAtomic(): boolean {
    return this.options.driver === 'btrfs' || this.options.driver === 'zfs'
  }

  get dataDir(): string {
    return join(this.directory, '.dblab')
  }

  get dataset(): string | undefined {
    return this.options.dataset && `${this.options.dataset}/${this.directory.split('-').at(-1)}`
  }

  /** What the faults of every process of the lab have written. */
  get faultLog(): string {
    return join(this.directory, 'faults.log')
  }

  /** The pool grows at the next start, and its clones get quotas, or lose them. */
  async grow(): Promise<void> {
    this.#imageMib += 256
    this.#hasQuotas = !this.#hasQuotas
    await this.#configure()
  }

  /**
   * Starts the server.
   *
   * @param faults 'none': with nothing armed, as users run it; no point is noted then either
   * @returns undefined once it serves; else how it ended
   * @throws Violation when it does neither
   */
  async start(faults: readonly Fault[] | 'none' = [], args: readonly string[] = []): Promise<Ended | undefined> {
    const child = this.#spawn(['start', ...args], faults)
    this.#server = child
    const exited = once(child, 'exit')
    const ready = (async () => {
      for await (const chunk of child.stdout ?? []) {
        this.#log.write(chunk)
        if (String(chunk).includes('Database Lab is ready')) return true
      }
      return false
    })()
    if (await this.#within(ready, 'the server neither starts nor ends')) {
      child.stdout?.resume()
      return undefined
    }
    await exited
    return endOf(child)
  }

  /** Runs another command to its end. */
  async run(args: readonly string[], faults: readonly Fault[] | 'none' = [], killAfterMs?: number): Promise<Ended> {
    const child = this.#spawn(args, faults)
    child.stdout?.on('data', (chunk) => this.#log.write(chunk))
    const timer = killAfterMs === undefined ? undefined : setTimeout(() => child.kill('SIGKILL'), killAfterMs)
    await this.#within(once(child, 'exit'), `"${args[0]}" does not end`)
    clearTimeout(timer)
    return endOf(child)
  }

  /** As a reboot would, for a pool that is mounted by others than the lab; to be called when all of the lab is stopped. */
  async unmount(): Promise<void> {
    if (this.dataset !== undefined) await unmountBelow(this.dataset)
  }

  /** False when no server runs. */
  kill(signal: NodeJS.Signals = 'SIGKILL'): boolean {
    return this.#server?.kill(signal) ?? false
  }

  /** Resolves when no server runs. */
  async ended(): Promise<Ended> {
    const server = this.#server
    if (!server) return { killed: false, code: 0 }
    if (this.isUp) await this.#within(once(server, 'exit'), 'the server does not end')
    return endOf(server)
  }

  async request(method: string, path: string, body?: unknown): Promise<{ status: number; body: unknown }> {
    const response = await fetch(`${this.url}${path}`, {
      method,
      headers: {
        Authorization: `Bearer ${this.token}`,
        ...(body !== undefined && { 'Content-Type': 'application/json' }),
      },
      ...(body !== undefined && { body: JSON.stringify(body) }),
      signal: AbortSignal.timeout(START_DEADLINE_MS),
    })
    const text = await response.text()
    return { status: response.status, body: text === '' ? undefined : JSON.parse(text) }
  }

  /** What the process table and the file system still have is for the caller to look at before. */
  async remove(): Promise<void> {
    await rm(this.directory, { recursive: true })
    this.#log.end()
    await this.#ports[Symbol.asyncDispose]()
  }

  /** For a lab that is left behind, to be looked at. */
  async abandon(): Promise<void> {
    this.kill()
    await this.ended()
    await this.#ports[Symbol.asyncDispose]()
  }

  async faultLines(): Promise<string[]> {
    if (!existsSync(this.faultLog)) return []
    return (await readFile(this.faultLog, 'utf8')).split('\n').filter(Boolean)
  }

  async #configure(): Promise<void> {
    const { driver } = this.options
    const config = {
      port: this.#port,
      logLevel: 'debug',
      storage: {
        driver,
        ...(driver === 'btrfs' && { imageSize: this.#imageMib * MIB }),
        ...(this.dataset && { dataset: this.dataset }),
      },
      clones: {
        portFrom: this.#ports.from,
        portTo: this.#ports.to,
        warm: 2,
        ...(this.#hasQuotas && { diskQuota: '400MB' }),
      },
      sample: { scale: 0.001 },
    }
    await writeFile(join(this.directory, 'dblab.yaml'), stringify(config))
  }

  #spawn(args: readonly string[], faults: readonly Fault[] | 'none'): ChildProcess {
    const plan = faults === 'none' ? undefined : JSON.stringify({ log: this.faultLog, faults })
    const child = spawn(process.execPath, [...NODE_FLAGS, MAIN, ...args], {
      cwd: this.directory,
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { PATH: process.env.PATH, DBLAB_TOKEN: this.token, ...(plan !== undefined && { DBLAB_FAULTS: plan }) },
    })
    this.#log.write(`--- ${args.join(' ')} ${plan ?? 'with nothing armed'}\n`)
    child.stderr?.on('data', (chunk) => this.#log.write(chunk))
    return child
  }

  async #within<T>(work: Promise<T>, otherwise: string): Promise<T> {
    let timer: NodeJS.Timeout | undefined
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(
        () => reject(new Violation('stuck', `${otherwise} within ${START_DEADLINE_MS / 1000} s`)),
        START_DEADLINE_MS,
      )
    })
    return Promise.race([work, late]).finally(() => clearTimeout(timer))
  }
}

function endOf(child: ChildProcess): Ended {
  return { killed: child.signalCode === 'SIGKILL', code: child.exitCode }
}
