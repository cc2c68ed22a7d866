import { readdir } from 'node:fs/promises'
import { basename } from 'node:path'
import { type Account, failPoint, type Places, ProvisionError, type RecoverySpec, run } from '@dblab/provision'
import { InterruptedError } from '../interrupted.ts'
import type { CheckedSource, Reporter, Source } from '../source.ts'
import { asAccount, runTool } from '../tools/tool-process.ts'
import { watch } from '../tools/watch.ts'
import { needProgram } from './program.ts'
import { withoutSecrets } from './redaction.ts'
import { withinTime } from './time-limit.ts'

export interface CommandOptions {
  /** The program and its arguments, with `%d` and `%t` for the directories. */
  command: readonly string[]
  /** Variables of the server's environment that it gets. */
  variables: readonly string[]
  recovery: RecoverySpec
  /** The main one; undefined for the first there is. */
  database: string | undefined
  anyLocale: boolean
  timeoutMs: number
  /** Runs it. */
  account: Account
  environment: (name: string) => string | undefined
  /** That the lab has binaries of. */
  majors: () => Promise<readonly number[]>
}

/** Of what a program says last, this much is told. */
const LAST_LINES = 5
const LINE_CHARACTERS = 300
/** Looking at how much is there costs a walk over its files. */
const LOOK_EVERY_MS = 10_000

/** A cluster that a program of the operator's brings: docs/retrieval-command.md is what it can count on. */
export class CommandSource implements Source {
  readonly kind = 'archive'
  readonly description: string
  readonly #options: CommandOptions
  readonly #name: string

  constructor(options: CommandOptions) {
    this.#options = options
    this.#name = basename(options.command[0] ?? '')
    this.description = `a backup, by ${this.#name}`
  }

  async check(): Promise<CheckedSource> {
    const { command, variables, recovery, database, anyLocale, environment } = this.#options
    const program = await needProgram(
      command[0] ?? '',
      'It is what retrieval.sources has as the command of an archive.',
    )
    const given = variables.map((name) => {
      const value = environment(name)
      if (value !== undefined) return [name, value] as const
      throw new ProvisionError('INVALID', `the variable ${name} of the server's environment is not set`, {
        hint: `${this.#name} is to have it, as retrieval.sources says (environment).`,
      })
    })
    return {
      ...{ brings: 'cluster', sample: false, database, anyLocale, recovery },
      message: `From a backup, by ${this.#name}`,
      neededBytes: 0,
      copy: (places, reporter) => this.#bring(program, Object.fromEntries(given), places, reporter),
    }
  }

  async #bring(
    program: string,
    given: Readonly<Record<string, string>>,
    places: Places,
    reporter: Reporter,
  ): Promise<void> {
    const { command, timeoutMs, account, majors } = this.#options
    const last: string[] = []
    const env = { ...given, ...told(places, await majors()) }
    await using _progress = watch(LOOK_EVERY_MS, async () =>
      reporter.progress({ step: 'COPY', bytesDone: await bytesIn(places.volumePath, account) }),
    )
    const code = await withinTime(this.#name, timeoutMs, reporter.signal, (signal) =>
      runTool({
        argv: [program, ...command.slice(1).map((argument) => filledIn(argument, places))],
        ...{ account, env, signal },
        onStderrLine: (line) => {
          last.push(line)
          if (last.length > LAST_LINES) last.shift()
        },
      }),
    )
    if (code !== 0) throw this.#failure(code, lastWords(last, Object.values(given)))
    if ((await readdir(places.dataDir)).length === 0) throw this.#nothing()
    await failPoint('retrieval.copied')
  }

  #nothing(): ProvisionError {
    return new ProvisionError('NOT_FOUND', `${this.#name} ended without an error and left the data directory empty`, {
      hint: 'It is to put the cluster into the directory that %d in its arguments stands for, or DBLAB_DATA_DIRECTORY in its environment.',
    })
  }

  #failure(code: number | undefined, said: string): ProvisionError {
    const words = said === '' ? 'it said nothing' : `it said: ${said}`
    if (code === undefined) return new InterruptedError(`${this.#name} was killed; ${words}`)
    return new ProvisionError('FAILED', `${this.#name} ended with status ${code}; ${words}`, {
      hint: `It runs as ${this.#options.account.name}, with few variables in its environment: docs/retrieval-command.md.`,
    })
  }
}

function told({ dataDir, tablespacesDir }: Places, majors: readonly number[]): Record<string, string> {
  return {
    DBLAB_DATA_DIRECTORY: dataDir,
    DBLAB_TABLESPACE_DIRECTORY: tablespacesDir,
    DBLAB_POSTGRES_MAJORS: majors.join(' '),
  }
}

/** `%d` for the data directory, `%t` for the one of tablespaces, `%%` for a percent sign. */
function filledIn(argument: string, { dataDir, tablespacesDir }: Places): string {
  const values: Readonly<Record<string, string>> = { '%d': dataDir, '%t': tablespacesDir, '%%': '%' }
  return argument.replaceAll(/%[dt%]/g, (sign) => values[sign] ?? sign)
}

async function bytesIn(directory: string, account: Account): Promise<number> {
  const as = asAccount(account)
  const { stdout } = await run(['du', '-sk', '--', directory], { ...(as && { account: as }), cwd: '/' })
  return Number.parseInt(stdout, 10) * 1024
}

/** Cut after the secrets are out of it: what is left of one that was cut would not be known for it. */
export function lastWords(lines: readonly string[], secrets: readonly string[]): string {
  return withoutSecrets(lines.join('\n'), secrets).split('\n').map(cut).join('; ')
}

function cut(line: string): string {
  return line.length <= LINE_CHARACTERS ? line : `${line.slice(0, LINE_CHARACTERS)}…`
}
