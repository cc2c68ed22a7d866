import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'

export const REPOSITORY = join(import.meta.dirname, '../../..')

/** A test file, as vitest is asked for it. */
export interface InnerTests {
  project: string
  file: string
}

export class InnerRunError extends Error {
  override readonly name = 'InnerRunError'
  readonly status: unknown

  constructor(file: string, status: unknown, passed: number) {
    super(`the inner run of ${file} ended with status ${status}; ${passed} tests passed`)
    this.status = status
  }
}

/**
 * Runs a test file in a vitest of its own, as another account or on another kernel. Its output is passed on as it comes.
 *
 * @param wrap what runs the command; gets a directory that the inner run can write to
 * @returns how many of its tests passed
 * @throws InnerRunError when one failed, or none ran
 */
export async function runInside(
  { project, file }: InnerTests,
  wrap: (argv: string[], reports: string) => Promise<string[]>,
  env: Record<string, string> = {},
): Promise<number> {
  await using stack = new AsyncDisposableStack()
  const reports = await mkdtemp(join(tmpdir(), 'inner-run-'))
  stack.defer(() => rm(reports, { recursive: true }))
  const [program = '', ...args] = await wrap(vitestArgv({ project, file }, join(reports, 'report.json')), reports)
  const child = spawn(program, args, {
    cwd: REPOSITORY,
    env: { ...process.env, ...env, NO_COLOR: '1' },
    stdio: ['ignore', 'inherit', 'inherit'],
  })
  stack.defer(() => void child.kill())
  const [code] = await once(child, 'close')
  const passed = existsSync(join(reports, 'report.json')) ? await countPassed(join(reports, 'report.json')) : 0
  if (code !== 0 || passed === 0) throw new InnerRunError(file, code, passed)
  return passed
}

function vitestArgv({ project, file }: InnerTests, report: string): string[] {
  const vitest = join(dirname(createRequire(import.meta.url).resolve('vitest/package.json')), 'vitest.mjs')
  const reporters = ['--reporter=verbose', '--reporter=json', `--outputFile.json=${report}`]
  // A bundled configuration would be written into node_modules, which is not everybody's.
  const options = ['--project', project, '--configLoader', 'native', '--no-cache', ...reporters]
  return [process.execPath, vitest, 'run', ...options, file]
}

async function countPassed(report: string): Promise<number> {
  const result: unknown = JSON.parse(await readFile(report, 'utf8'))
  const isReport = typeof result === 'object' && result !== null && 'numPassedTests' in result
  return isReport && typeof result.numPassedTests === 'number' ? result.numPassedTests : 0
}
