import { basename, resolve } from 'node:path'
import { type Account, findClientTools, IMPORT_ROLE } from '@dblab/provision'
import type { CheckedSource, Reporter, Source, Staging } from '../source.ts'
import { type DumpPlan, inspectDump } from './dump.ts'
import { importDump } from './import.ts'
import { tellRestore } from './restore-progress.ts'

export interface FileOptions {
  path: string
  /** Runs the tools. */
  account: Account
  loginDirectory: string
}

/** A dump that lies on this machine. */
export class FileSource implements Source {
  readonly kind = 'file'
  readonly description: string
  readonly #options: FileOptions

  constructor(options: FileOptions) {
    this.#options = options
    this.description = basename(options.path)
  }

  async check(reporter: Reporter): Promise<CheckedSource> {
    const { path, account } = this.#options
    const told = tellRestore(reporter)
    const plan = await inspectDump(resolve(path), {
      ...{ account, signal: reporter.signal, tools: await findClientTools() },
      onProgress: (read) => told({ step: 'inspect', ...read }),
    })
    const kind = [plan.kind, ...(plan.compression ? [plan.compression] : [])].join(', ')
    const tables = plan.tables === undefined ? '' : ` of ${plan.tables} tables`
    reporter.info(`${plan.path} is a dump (${kind})${tables}, for the database ${JSON.stringify(plan.database)}`)
    return {
      brings: 'rows',
      databases: [plan.database],
      sample: false,
      message: `Imported from ${basename(path)}`,
      neededBytes: 0,
      loginRoles: [IMPORT_ROLE],
      fill: (staging, reporter) => this.#fill(plan, staging, reporter),
    }
  }

  async #fill(plan: DumpPlan, { instance, embedded }: Staging, reporter: Reporter): Promise<Date> {
    const { account, loginDirectory } = this.#options
    const { signal } = reporter
    const onProgress = tellRestore(reporter)
    const result = await importDump(plan, instance, { account, loginDirectory, embedded, signal, onProgress })
    for (const note of result.notes) reporter.warn(note)
    return result.dataStateAt
  }
}
