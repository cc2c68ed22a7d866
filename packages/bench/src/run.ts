import { sampleSize } from './lab/data.ts'
import { BenchLab, type LabConfiguration } from './lab/lab.ts'
import type { BenchDriver } from './pools/pool.ts'
import type { SuiteReport } from './report/json.ts'
import type { Suite, SuiteContext } from './suites/contract.ts'

export interface RunOptions {
  quick: boolean
  driver: BenchDriver
  dataset: string | undefined
  say: (text: string) => void
}

/**
 * Runs suites one after the other, all that share a lab in one. What is left of it is removed when disposed of, at whatever moment.
 */
export class BenchRun implements AsyncDisposable {
  readonly #options: RunOptions
  readonly #labs = new AsyncDisposableStack()
  #shared: Promise<BenchLab> | undefined

  constructor(options: RunOptions) {
    this.#options = options
  }

  /** Does not throw: a suite that fails says so in its report. */
  async suite({ name, run }: Suite): Promise<SuiteReport> {
    const { quick, say } = this.#options
    const report: SuiteReport = { name, rows: [], notes: [], skipped: [] }
    const context: SuiteContext = {
      quick,
      say,
      note: (text) => report.notes.push(text),
      skip: (what, reason) => report.skipped.push({ what, reason }),
      lab: (configuration) => this.#lab(configuration),
      ownLab: (options) => this.#open(options),
    }
    try {
      return { ...report, rows: await run(context) }
    } catch (error) {
      return { ...report, failure: error instanceof Error ? (error.stack ?? error.message) : String(error) }
    }
  }

  async #lab(configuration: LabConfiguration): Promise<BenchLab> {
    if (!this.#shared) {
      const { scale, label } = sampleSize(this.#options.quick)
      this.#options.say(`making a lab with a sample database of ${label}`)
      this.#shared = this.#open({ scale, configuration }).then((lab) => this.#labs.use(lab))
    }
    const lab = await this.#shared
    await lab.configure(configuration)
    return lab
  }

  #open(options: Parameters<SuiteContext['ownLab']>[0]): Promise<BenchLab> {
    const { driver, dataset } = this.#options
    return BenchLab.open({ ...options, driver, dataset })
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#labs.disposeAsync()
  }
}
