import { readFile, writeFile } from 'node:fs/promises'
import type { Row } from '../suites/contract.ts'
import type { Machine } from './machine.ts'

/** What a run found, as it is written to a file. */
export interface Report {
  version: 1
  machine: Machine
  driver: string
  quick: boolean
  suites: SuiteReport[]
}

export interface SuiteReport {
  name: string
  rows: Row[]
  notes: string[]
  skipped: Array<{ what: string; reason: string }>
  /** Why the suite ended before its end. */
  failure?: string
}

/** Numbers to five digits: more say nothing, and make the file long. */
export async function writeReport(file: string, report: Report): Promise<void> {
  const text = JSON.stringify(
    report,
    (_key, value) => (typeof value === 'number' ? Number(value.toPrecision(5)) : value),
    2,
  )
  await writeFile(file, `${text}\n`)
}

/** @throws Error for a file that is not there, or not such a report */
export async function readReport(file: string): Promise<Report> {
  const report: unknown = JSON.parse(await readFile(file, 'utf8'))
  if (!isReport(report)) throw new Error(`${file} is not what a run of the benchmark wrote (--json)`)
  return report
}

function isReport(value: unknown): value is Report {
  return (
    typeof value === 'object' &&
    value !== null &&
    'version' in value &&
    value.version === 1 &&
    'suites' in value &&
    Array.isArray(value.suites)
  )
}
