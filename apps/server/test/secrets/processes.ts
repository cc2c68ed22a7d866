import { mkdtemp, readdir, readFile, readlink, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { isSystemError } from '@dblab/provision'
import type { Secrets } from './forms.ts'

/** A program that was started: its arguments and its whole environment, in raw bytes. */
export interface Started {
  pid: number
  program: string
  bytes: Buffer
}

/** strace, which sees each program that the server and its descendants start, however short its life. */
export class ExecTrace implements AsyncDisposable {
  readonly #directory: string

  private constructor(directory: string) {
    this.#directory = directory
  }

  static async make(): Promise<ExecTrace> {
    return new ExecTrace(await mkdtemp(join(tmpdir(), 'dblab-execs-')))
  }

  /**
   * What the server is to be started through. https://man7.org/linux/man-pages/man1/strace.1.html: `-D` has the server keep its place in
   * the tree of processes, the filter spares it a stop at each call, `-v` writes the environment out, and `-xx` every byte as hex.
   */
  get argv(): readonly string[] {
    const calls = ['-e', 'trace=execve,execveat', '-e', 'signal=none', '--seccomp-bpf']
    return ['strace', '-f', '-D', '-qq', '-v', '-xx', '-s', '200000', ...calls, '-A', '-o', this.#file, '--']
  }

  get #file(): string {
    return join(this.#directory, 'execs')
  }

  async started(): Promise<Started[]> {
    const lines = (await readFile(this.#file, 'latin1')).split('\n')
    return lines.flatMap((line) => {
      const pid = /^(\d+) +execve(?:at)?\(/.exec(line)?.[1]
      if (pid === undefined) return []
      const strings = [...line.matchAll(/"((?:\\x[0-9a-f]{2})*)"/g)].map(([, hex = '']) => decode(hex))
      return [{ pid: Number(pid), program: String(strings[0]), bytes: Buffer.concat(strings.flatMap(withEnd)) }]
    })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.#directory, { recursive: true })
  }
}

function decode(hex: string): Buffer {
  return Buffer.from(hex.replaceAll('\\x', ''), 'hex')
}

function withEnd(text: Buffer): Buffer[] {
  return [text, Buffer.alloc(1)]
}

/** Looks at every process of the machine again and again: titles change while a program runs, as those of Postgres do. */
export class ProcessWatch implements AsyncDisposable {
  /** A line for each place in which a secret was seen. */
  readonly found = new Set<string>()
  readonly seen = new Set<number>()
  rounds = 0
  readonly #secrets: Secrets
  #ends = false
  readonly #watching: Promise<void>

  constructor(secrets: Secrets) {
    this.#secrets = secrets
    this.#watching = this.#watch()
  }

  async #watch(): Promise<void> {
    while (!this.#ends) {
      for (const pid of await readdir('/proc')) if (/^\d+$/.test(pid)) await this.#look(Number(pid))
      this.rounds++
      await delay(20)
    }
  }

  async #look(pid: number): Promise<void> {
    // The test itself knows the secrets.
    if (pid === process.pid) return
    for (const part of ['cmdline', 'environ']) {
      try {
        const bytes = await readFile(`/proc/${pid}/${part}`)
        this.seen.add(pid)
        const found = this.#secrets.in(bytes)
        const program = found.length > 0 ? await readlink(`/proc/${pid}/exe`) : ''
        for (const what of found) this.found.add(`${part} of ${program}: ${what}`)
      } catch (error) {
        // It has ended, or is somebody else's.
        if (!isSystemError(error, 'ENOENT', 'ESRCH', 'EACCES', 'EPERM')) throw error
      }
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#ends = true
    await this.#watching
  }
}
