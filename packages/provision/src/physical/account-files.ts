import { run } from '../exec.ts'
import type { Account } from '../postgres/runtime.ts'

/**
 * Changes in a volume by the hand of the account that has its files: that account can put a link into any path there, and gets nothing by
 * it. See docs/decisions/hostile-paths.md.
 */
export class AccountFiles {
  readonly #account: Account

  constructor(account: Account) {
    this.#account = account
  }

  /** With all that is in them. Absent already is fine. */
  async remove(paths: readonly string[]): Promise<void> {
    if (paths.length > 0) await this.#run(['rm', '-rf', '--', ...paths])
  }

  /** Private ones; those that are there stay. */
  async makeDirectories(paths: readonly string[]): Promise<void> {
    if (paths.length > 0) await this.#run(['mkdir', '-p', '-m', '0700', '--', ...paths])
  }

  /** To where nothing is. */
  async move(from: string, to: string): Promise<void> {
    await this.#run(['mv', '--', from, to])
  }

  async link(target: string, path: string): Promise<void> {
    await this.#run(['ln', '-s', '--', target, path])
  }

  async write(path: string, text: string): Promise<void> {
    await this.#run(['tee', '--', path], text)
  }

  /** To the disk. */
  async flush(path: string): Promise<void> {
    await this.#run(['sync', '--', path])
  }

  async read(path: string): Promise<string> {
    return this.#run(['cat', '--', path])
  }

  async makePrivate(directory: string): Promise<void> {
    await this.#run(['chmod', '0700', '--', directory])
  }

  async #run(argv: [string, ...string[]], input?: string): Promise<string> {
    const { stdout } = await run(argv, {
      ...(process.getuid?.() === 0 && { account: this.#account }),
      ...(input !== undefined && { input }),
    })
    return stdout
  }
}
