import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmod, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { freePort, freePortRange, type PortRange } from '@dblab/provision/testbed'
import { type Lab as Client, openLab } from '@dblab/sdk'
import { stringify } from 'yaml'
import NODE_FLAGS from '../../node-flags.json' with { type: 'json' }

/** The built server, as users run it. */
const MAIN = fileURLToPath(new URL('../../dist/main.js', import.meta.url))

type Config = Record<string, unknown>

export interface TestLabOptions {
  driver: 'zfs' | 'btrfs' | 'reflink' | 'copy'
  /** An existing directory; made, and removed at the end, when left out. */
  directory?: string
  /** Merged over the test's own, group by group. */
  config?: Config & { port?: number }
  env?: Record<string, string>
}

/** A lab in a directory of its own, served by processes that a test may stop, kill and start. */
export class TestLab implements AsyncDisposable {
  readonly directory: string
  readonly url: string
  readonly token = 'a-token-for-tests-only'
  /** The build that runs from the next start on: a test may put another in its place. */
  main = MAIN
  /** What each process of the server is started through, if anything: a program that becomes it, so that it keeps its pid. */
  through: readonly string[] = []
  readonly #ports: PortRange
  readonly #env: Record<string, string>
  readonly #ownsDirectory: boolean
  #server: ChildProcess | undefined
  #output = ''
  #printed = ''

  private constructor(
    directory: string,
    port: number,
    ports: PortRange,
    env: Record<string, string>,
    ownsDirectory: boolean,
  ) {
    this.directory = directory
    this.url = `http://127.0.0.1:${port}`
    this.#ports = ports
    this.#env = env
    this.#ownsDirectory = ownsDirectory
  }

  /** Writes the configuration; starts nothing. */
  static async make({ driver, directory, config = {}, env = {} }: TestLabOptions): Promise<TestLab> {
    const parent = directory ?? (await mkdtemp(join(tmpdir(), 'dblab-lab-')))
    // The account of Postgres must be able to pass it.
    await chmod(parent, 0o711)
    const port = config.port ?? (await freePort())
    const ports = await freePortRange()
    const own = {
      port,
      logLevel: 'debug',
      storage: { driver, imageSize: '6GB' },
      // What runs is what a test has asked for.
      clones: { portFrom: ports.from, portTo: ports.to, warm: 0 },
      sample: { scale: 0.01 },
      postgres: {},
    }
    const lab = new TestLab(parent, port, ports, env, directory === undefined)
    await mkdir(parent, { recursive: true })
    await writeFile(join(parent, 'dblab.yaml'), stringify(merged(own, config)))
    return lab
  }

  get pid(): number {
    return this.#server?.pid ?? 0
  }

  /** What the server has logged since it was started. */
  get output(): string {
    return this.#output
  }

  /** What it has printed on its standard output since then, the log not being part of it. */
  get printed(): string {
    return this.#printed
  }

  /** Resolves when the server answers. */
  async start(args: string[] = [], env: Record<string, string> = {}): Promise<void> {
    const server = this.#spawn(['start', ...args], env)
    this.#server = server
    this.#output = ''
    this.#printed = ''
    server.stderr?.on('data', (chunk) => {
      this.#output += chunk
    })
    const exited = once(server, 'exit').then(([code]) => {
      throw new Error(`the server ended with ${code}:\n${this.#output}`)
    })
    exited.catch(() => {})
    const ready = new Promise<void>((resolve) => {
      server.stdout?.on('data', (chunk) => {
        this.#printed += chunk
        if (this.#printed.includes('Database Lab is ready')) resolve()
      })
    })
    await Promise.race([ready, exited])
  }

  /** As Ctrl-C does. */
  async interrupt(): Promise<void> {
    await this.#end('SIGINT')
  }

  /** As a service manager does. */
  async terminate(): Promise<void> {
    await this.#end('SIGTERM')
  }

  async kill(): Promise<void> {
    await this.#end('SIGKILL')
  }

  /** Resolves when the process of the server has ended, by itself or by a fault; with the signal that ended it. */
  async ended(): Promise<NodeJS.Signals | null> {
    const server = this.#server
    if (!server) return null
    if (server.exitCode === null && server.signalCode === null) await once(server, 'exit')
    return server.signalCode
  }

  /** Runs another command of the server to its end. */
  async run(
    args: string[],
    { timeoutMs = 120_000, env = {} }: { timeoutMs?: number; env?: Record<string, string> } = {},
  ): Promise<{ code: number; stdout: string; stderr: string }> {
    const child = this.#spawn(args, env)
    const timer = setTimeout(() => child.kill('SIGKILL'), timeoutMs)
    let stdout = ''
    let stderr = ''
    child.stdout?.on('data', (chunk) => {
      stdout += chunk
    })
    child.stderr?.on('data', (chunk) => {
      stderr += chunk
    })
    const [code] = await once(child, 'close')
    clearTimeout(timer)
    return { code: Number(code ?? -1), stdout, stderr }
  }

  client(): Client {
    return openLab({ url: this.url, token: this.token })
  }

  /** A request as any HTTP client sends it. */
  async fetch(path: string, init: RequestInit & { json?: unknown; token?: string | null } = {}): Promise<Response> {
    const { json, token = this.token, ...rest } = init
    const headers = new Headers(rest.headers)
    if (token !== null && !headers.has('Authorization')) headers.set('Authorization', `Bearer ${token}`)
    if (json !== undefined) headers.set('Content-Type', 'application/json')
    const body = json === undefined ? rest.body : JSON.stringify(json)
    return fetch(`${this.url}${path}`, { ...rest, headers, ...(body !== undefined && { body }) })
  }

  async readDataFile(name: string): Promise<string> {
    return readFile(join(this.directory, '.dblab', name), 'utf8')
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill()
    const { code, stdout, stderr } = await this.run(['destroy', '--yes'])
    if (code !== 0) throw new Error(`destroy ended with ${code}: ${stdout}${stderr}`)
    if (this.#ownsDirectory) await rm(this.directory, { recursive: true })
    await this.#ports[Symbol.asyncDispose]()
  }

  #spawn(args: string[], env: Record<string, string> = {}): ChildProcess {
    const [program = '', ...rest] = [...this.through, process.execPath, ...NODE_FLAGS, this.main, ...args]
    return spawn(program, rest, {
      cwd: this.directory,
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { PATH: process.env.PATH, HOME: process.env.HOME, DBLAB_TOKEN: this.token, ...this.#env, ...env },
    })
  }

  async #end(signal: NodeJS.Signals): Promise<void> {
    const server = this.#server
    this.#server = undefined
    if (!server || server.exitCode !== null || server.signalCode !== null) return
    server.kill(signal)
    await once(server, 'exit')
  }
}

/** Values of `over` count; groups of both are merged. */
function merged(config: Config, over: Config): Config {
  const isGroup = (value: unknown): value is Config => typeof value === 'object' && value !== null
  const entries = Object.entries(over).map(([name, value]): [string, unknown] => {
    const own = config[name]
    return [name, isGroup(own) && isGroup(value) ? { ...own, ...value } : value]
  })
  return { ...config, ...Object.fromEntries(entries) }
}

/** Until the condition holds; fails with what it waited for when the time is over. */
export async function eventually(
  what: string,
  condition: () => Promise<boolean> | boolean,
  timeoutMs = 20_000,
): Promise<void> {
  const deadline = Date.now() + timeoutMs
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error(`not within ${timeoutMs} ms: ${what}`)
    await delay(50)
  }
}
