import { chown, mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { run } from '@dblab/provision'
import { hasProgram, isRoot } from '@dblab/provision/testbed'
import { LiveSource, type LiveSourceOptions } from './live-source.ts'
import { needSource } from './world.ts'

const REQUIRED = (process.env.REQUIRED_PROGRAMS ?? '').split(/[\s,]+/)

/** Empty, or why nothing can be restored here with pgBackRest: for a test's title. Where it is required, that fails instead. */
export const lackingBackRest =
  hasProgram('pgbackrest') || REQUIRED.includes('pgbackrest') ? '' : ' (skipped: there is no pgbackrest)'

export const STANZA = 'main'

/** A server that archives its WAL with pgBackRest into a directory beside it. */
export class ArchivedSource implements AsyncDisposable {
  readonly live: LiveSource
  readonly repository: string
  /** pgBackRest's configuration. */
  readonly config: string

  private constructor(live: LiveSource) {
    this.live = live
    this.repository = join(live.directory, 'repository')
    this.config = join(live.directory, 'pgbackrest.conf')
  }

  static async make(
    options: Pick<LiveSourceOptions, 'settings' | 'initdb'> & { global?: string[] } = {},
  ): Promise<ArchivedSource> {
    const { global = [], ...own } = options
    const live = await LiveSource.make(needSource(), own)
    const source = new ArchivedSource(live)
    const [logs, locks] = [join(live.directory, 'logs'), join(live.directory, 'locks')]
    for (const directory of [source.repository, logs, locks]) {
      await mkdir(directory)
      if (isRoot) await chown(directory, live.account.uid, live.account.gid)
    }
    const lines = [
      ...['[global]', `repo1-path=${source.repository}`, 'repo1-retention-full=9', 'start-fast=y', ...global],
      ...[`log-path=${logs}`, `lock-path=${locks}`],
      ...[`[${STANZA}]`, `pg1-path=${live.dataDir}`, `pg1-port=${live.port}`, `pg1-socket-path=${live.socketDir}`],
      'pg1-user=postgres',
    ]
    await writeFile(source.config, `${lines.join('\n')}\n`)
    await live.query(
      'postgres',
      `ALTER SYSTEM SET archive_command = 'pgbackrest --config=${source.config} --stanza=${STANZA} archive-push %p'`,
      `ALTER SYSTEM SET archive_mode = 'on'`,
    )
    await live.stop('SIGINT')
    await live.start()
    await source.backrest('stanza-create')
    return source
  }

  /** Runs pgBackRest as the account of the server. */
  async backrest(...argv: string[]): Promise<string> {
    const all: [string, ...string[]] = ['pgbackrest', `--config=${this.config}`, `--stanza=${STANZA}`, ...argv]
    return (await run(all, { ...(isRoot && { account: this.live.account }), cwd: '/' })).stdout
  }

  /** Resolves once all that was written so far is in the archive. */
  async archived(): Promise<void> {
    await this.live.query('postgres', 'CREATE TABLE IF NOT EXISTS switched ()', 'SELECT pg_switch_wal()')
    await this.backrest('check')
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.live[Symbol.asyncDispose]()
  }
}

/** For a lab's configuration. */
export function archive(source: ArchivedSource, more: Record<string, unknown> = {}, own: Record<string, unknown> = {}) {
  return { kind: 'archive', pgbackrest: { stanza: STANZA, config: source.config, ...own }, database: 'shop', ...more }
}
