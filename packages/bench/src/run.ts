import { inspect } from 'node:util'
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
  readonly #labs: Promise<BenchLab>[] = []
  #shared: Promise<BenchLab> | undefined
  #isOver = false

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
      return { ...report, failure: inspect(error) }
    }
  }

  /** True once it is being disposed of: no other suite should begin. */
  get isOver(): boolean {
    return this.#isOver
  }

  async #lab(configuration: LabConfiguration): Promise<BenchLab> {
    if (!this.#shared) {
      const { scale, label } = sampleSize(this.#options.quick)
      this.#options.say(`making a lab with a sample database of ${label}`)
      this.#shared = this.#open({ scale, configuration })
    }
    const lab = await this.#shared
    await lab.configure(configuration)
    return lab
  }

  #open(options: Parameters<SuiteContext['ownLab']>[0]): Promise<BenchLab> {
    const { driver, dataset } = this.#options
    const lab = BenchLab.open({ ...options, driver, dataset })
    this.#labs.push(lab)
    return lab
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isOver = true
    for (const result of await Promise.allSettled(this.#labs)) {
      // One that did not come up has removed itself.
      if (result.status === 'fulfilled') await result.value[Symbol.asyncDispose]()
    }
  }
}
