import type { Reporter } from '../source.ts'
import type { DumpPlan } from './dump.ts'

/** How far the bringing in of data is. Counts are there where they are known. */
export interface RestoreStep {
  step: 'inspect' | 'prepare' | 'restore' | 'finish'
  /** Of the file as it is, compressed or not. */
  doneBytes?: number
  totalBytes?: number
  doneTables?: number
  totalTables?: number
}

/** Turns what is read, or what pg_restore says with --verbose, into progress. */
export class RestoreProgress {
  readonly #plan: DumpPlan
  readonly #report: (progress: RestoreStep) => void
  #doneBytes = 0
  #begunTables = 0
  #doneTables = 0

  constructor(plan: DumpPlan, report: ((progress: RestoreStep) => void) | undefined) {
    this.#plan = plan
    this.#report = report ?? (() => undefined)
    this.#tell()
  }

  bytes(count: number): void {
    this.#doneBytes += count
    this.#tell()
  }

  /** One job announces a table when it begins with it, several say when one has finished. */
  line(text: string): void {
    if (/^pg_restore: finished item \d+ TABLE DATA /.test(text)) this.#doneTables++
    else if (/^pg_restore: processing data for table /.test(text)) this.#begunTables++
    else return
    this.#tell()
  }

  finish(): void {
    this.#doneTables = this.#plan.tables ?? 0
    this.#doneBytes = this.#plan.sizeBytes
    this.#tell()
  }

  #tell(): void {
    const { kind, compression, sizeBytes, tables } = this.#plan
    const fed = kind === 'plain' || compression !== undefined
    this.#report({
      step: 'restore',
      ...(fed && { doneBytes: this.#doneBytes, totalBytes: sizeBytes }),
      ...(kind !== 'plain' && { doneTables: Math.max(this.#doneTables, this.#begunTables - 1, 0) }),
      ...(kind !== 'plain' && tables !== undefined && { totalTables: tables }),
    })
  }
}

/** Passes it on as a run's. */
export function tellRestore(reporter: Reporter): (progress: RestoreStep) => void {
  const steps = { inspect: 'CHECK', prepare: 'RESTORE', restore: 'RESTORE', finish: 'FINISH' } as const
  return ({ step, doneBytes = 0, totalBytes = 0, doneTables = 0, totalTables = 0 }) =>
    reporter.progress({
      step: steps[step],
      ...{ bytesDone: doneBytes, bytesTotal: totalBytes, tablesDone: doneTables, tablesTotal: totalTables },
    })
}
