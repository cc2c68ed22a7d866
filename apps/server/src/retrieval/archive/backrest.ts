import { chmod, chown, mkdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type Account, ProvisionError } from '@dblab/provision'
import { InterruptedError } from '../interrupted.ts'
import { NO_ROOM } from '../live/tool.ts'
import { asAccount, runTool } from '../tools/tool-process.ts'
import { BackRestMessages } from './backrest-messages.ts'
import { withoutSecrets } from './redaction.ts'

/** Which repository is meant, as pgBackRest is told. */
export interface BackRestConfig {
  stanza: string
  /** Its configuration file; undefined for the one that it takes by itself. */
  config: string | undefined
  /** The number of a repository; undefined for any. */
  repo: number | undefined
  /** Over what the file says, by the names of that file. */
  options: Readonly<Record<string, string | number | boolean>>
  /** The same, by variables of the environment that hold the values. */
  secrets: Readonly<Record<string, string>>
}

export interface BackRestWorld {
  /** The absolute path. */
  program: string
  /** Runs it. */
  account: Account
  /** For the file with secrets, which is there only while it is needed. */
  loginDirectory: string
  environment: (name: string) => string | undefined
}

/** Errors that another attempt may not meet: protocol, host-connect, term, service (pgBackRest, src/build/error/error.yaml). */
const LOST: readonly (number | undefined)[] = [39, 49, 63, 101]

/** pgBackRest for one repository, while its options are in a file of the account's that nobody else may read. */
export class BackRest implements AsyncDisposable {
  readonly #config: BackRestConfig
  readonly #world: BackRestWorld
  readonly #secrets: readonly string[]
  readonly #includeDir: string | undefined

  private constructor(config: BackRestConfig, world: BackRestWorld, secrets: string[], includeDir: string | undefined) {
    this.#config = config
    this.#world = world
    this.#secrets = secrets
    this.#includeDir = includeDir
  }

  /** @throws ProvisionError INVALID where a variable is not set */
  static async open(config: BackRestConfig, world: BackRestWorld): Promise<BackRest> {
    const secrets = Object.entries(config.secrets).map(([name, variable]) => {
      const value = world.environment(variable)
      if (value !== undefined && !value.includes('\n')) return [name, value] as const
      throw new ProvisionError(
        'INVALID',
        `the variable ${variable} of the server's environment is ${value === undefined ? 'not set' : 'of several lines'}`,
        {
          hint: `It is to hold pgBackRest's ${name}, as retrieval.sources says.`,
        },
      )
    })
    const lines = [...Object.entries(config.options).map(optionLine), ...secrets.map(optionLine)]
    const includeDir = lines.length === 0 ? undefined : await writeOptions(config.stanza, lines, world)
    return new BackRest(
      config,
      world,
      secrets.map(([, value]) => value),
      includeDir,
    )
  }

  /** A command with what all of them have in common, and without secrets. */
  argv(command: string, options: readonly string[]): [string, ...string[]] {
    const { stanza, config, repo } = this.#config
    return [
      this.#world.program,
      `--stanza=${stanza}`,
      ...(config === undefined ? [] : [`--config=${config}`]),
      ...(this.#includeDir === undefined ? [] : [`--config-include-path=${this.#includeDir}`]),
      ...(repo === undefined || options.some((option) => option.startsWith('--repo=')) ? [] : [`--repo=${repo}`]),
      // What it would log to is the other account's, as a rule.
      ...['--log-level-file=off', '--log-level-console=off', ...options, command],
    ]
  }

  /**
   * Runs a command, and answers with what it printed.
   *
   * @throws InterruptedError, ProvisionError NO_SPACE, FAILED, ABORTED
   */
  async run(
    doing: string,
    argv: readonly [string, ...string[]],
    { signal, onLine }: { signal: AbortSignal; onLine?: (line: string) => void },
  ): Promise<string> {
    const messages = new BackRestMessages((text) => this.clean(text))
    const chunks: Buffer[] = []
    const code = await runTool({
      ...{ argv, account: this.#world.account, signal },
      onStdout: (chunk) => chunks.push(chunk),
      onStderrLine: (line) => {
        messages.add(line)
        onLine?.(line)
      },
    })
    if (code !== 0) throw this.#explain(doing, code, messages)
    return Buffer.concat(chunks).toString()
  }

  /** Words of pgBackRest's that may be shown. */
  clean(text: string): string {
    return withoutSecrets(text, this.#secrets)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#includeDir !== undefined) await rm(this.#includeDir, { recursive: true, force: true })
  }

  #explain(doing: string, code: number | undefined, messages: BackRestMessages): ProvisionError {
    if (code === undefined) return new InterruptedError(`pgbackrest was killed while ${doing}`)
    const [summary, advice] = [messages.summary(), messages.advice()]
    const what = `pgbackrest failed while ${doing}: ${summary}`
    if (NO_ROOM.test(summary)) {
      return new ProvisionError('NO_SPACE', what, { hint: 'Free space in the pool, or make it larger.' })
    }
    if (LOST.includes(messages.code ?? code))
      return new InterruptedError(what, { hint: advice || 'It is tried again.' })
    const { name } = this.#world.account
    const hint = /Permission denied/.test(summary)
      ? `pgbackrest runs as ${name}, without other groups: let ${name} read its configuration and the repository.`
      : 'See that the repository is whole (pgbackrest verify), and that its storage is there.'
    return new ProvisionError('FAILED', what, { hint: [advice, hint].filter(Boolean).join('. ') })
  }
}

function optionLine([name, value]: readonly [string, string | number | boolean]): string {
  return `${name}=${typeof value === 'boolean' ? (value ? 'y' : 'n') : value}`
}

/** In the section of the stanza, which stands over the others (pgBackRest, "Command Reference": configuration). */
async function writeOptions(stanza: string, lines: readonly string[], world: BackRestWorld): Promise<string> {
  const { loginDirectory: directory, account } = world
  await using undo = new AsyncDisposableStack()
  await mkdir(directory, { mode: 0o700 })
  undo.defer(() => rm(directory, { recursive: true, force: true }))
  const file = join(directory, 'lab.conf')
  await writeFile(file, [`[${stanza}]`, ...lines, ''].join('\n'), { mode: 0o600 })
  if (asAccount(account)) {
    // To be listed by the account, and written in by nobody else.
    await chmod(directory, 0o755)
    await chown(file, account.uid, account.gid)
  }
  undo.move()
  return directory
}
