import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface, type Interface } from 'node:readline'

/** A psql process that a person might have left open: its session is its own, and lives or dies with its connection. */
export class PsqlSession implements AsyncDisposable {
  readonly #process: ChildProcess
  readonly #lines: AsyncIterator<string>
  readonly #reader: Interface
  #errors = ''

  private constructor(process: ChildProcess) {
    if (!process.stdout || !process.stderr) throw new Error('psql has no output')
    this.#process = process
    this.#reader = createInterface({ input: process.stdout })
    this.#lines = this.#reader[Symbol.asyncIterator]()
    process.stderr.on('data', (chunk) => {
      this.#errors += chunk
    })
    // A psql that has ended takes no more input: its exit says so.
    process.stdin?.on('error', () => {})
  }

  static async open(connStr: string, password: string): Promise<PsqlSession> {
    const argv = ['--no-psqlrc', '--no-password', '--quiet', '--no-align', '--tuples-only', '-v', 'ON_ERROR_STOP=1']
    const child = spawn('psql', [...argv, connStr], {
      stdio: ['pipe', 'pipe', 'pipe'],
      env: { PATH: process.env.PATH, LC_ALL: 'C', PGPASSWORD: password },
    })
    await once(child, 'spawn')
    return new PsqlSession(child)
  }

  /** Runs SQL whose last statement answers with one row, and gives that row. */
  async ask(sql: string): Promise<string> {
    this.#process.stdin?.write(`${sql}\n`)
    const { value, done } = await this.#lines.next()
    if (done) throw new Error(`psql has ended: ${this.#errors}`)
    return value
  }

  /** Ends it as a person does. Gives what it said in all its time that was not an answer, and its status. */
  async quit(): Promise<{ code: number | null; errors: string }> {
    const closed = once(this.#process, 'close')
    this.#process.stdin?.end('\\q\n')
    const [code] = await closed
    return { code, errors: this.#errors }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#reader.close()
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) return
    const closed = once(this.#process, 'close')
    this.#process.kill('SIGKILL')
    await closed
  }
}
