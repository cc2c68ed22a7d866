import { Command, InvalidArgumentError, Option } from 'commander'
import type { BenchDriver } from './pools/pool.ts'
import { compareReports, comparisonTable, isRegression } from './report/compare.ts'
import { readReport, type SuiteReport, writeReport } from './report/json.ts'
import { thisMachine } from './report/machine.ts'
import { machineLine, suiteTable } from './report/table.ts'
import { BenchRun } from './run.ts'
import type { Suite } from './suites/contract.ts'
import { chooseSuites, SUITES } from './suites/index.ts'

interface BenchOptions {
  quick?: boolean
  json?: string
  driver: BenchDriver
  dataset?: string
}

interface CompareOptions {
  recorded: string
  with: string
  tolerance: number
}

/** How much worse a ratio may be than noise explains: on the same machine, a tenth. */
const TOLERANCE = 0.1

const program = new Command('bench')
  .description('measure the lab beside bare tools, in the same run')
  .argument(
    '[suites...]',
    `${SUITES.map(({ name }) => name).join(', ')}, or all; left out: cold, warm, reset and burst`,
  )
  .option('--quick', 'small data and few runs: to see that it works')
  .option('--json <file>', 'write the figures there, too')
  .addOption(new Option('--driver <name>', 'storage of the lab').choices(['btrfs', 'zfs']).default('btrfs'))
  .option('--dataset <name>', 'the ZFS dataset to work below; left out: a pool in a file')
  .addHelpText(
    'after',
    `\nSuites:\n${SUITES.map(({ name, description }) => `  ${name.padEnd(10)} ${description}`).join('\n')}`,
  )
  .action(bench)
program
  .command('compare')
  .description('compare the ratios of two runs; fails where one is worse than noise explains')
  .requiredOption('--recorded <file>', 'what a run wrote before')
  .requiredOption('--with <file>', 'what a run wrote now')
  .option('--tolerance <share>', 'how much worse a ratio may be beyond noise', share, TOLERANCE)
  .action(compare)
await program.parseAsync()

async function bench(names: string[], { quick = false, json, driver, dataset }: BenchOptions): Promise<void> {
  const suites = chosen(names)
  if (process.getuid?.() !== 0) program.error('bench: needs root, for the pool of the lab')
  await using run = new BenchRun({ quick, driver, dataset, say: (text) => process.stderr.write(`${text}\n`) })
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => void run[Symbol.asyncDispose]().finally(() => process.exit(1)))
  }
  const reports: SuiteReport[] = []
  const report = { version: 1 as const, machine: await thisMachine(driver), driver, quick, suites: reports }
  process.stdout.write(`${machineLine(report)}\n\n`)
  for (const suite of suites) {
    const found = await run.suite(suite)
    if (run.isOver) break
    reports.push(found)
    process.stdout.write(`${suiteTable(found)}\n`)
    if (json) await writeReport(json, report)
  }
  if (reports.some(({ failure }) => failure !== undefined)) process.exitCode = 1
}

function chosen(names: string[]): Suite[] {
  try {
    return chooseSuites(names)
  } catch (error) {
    if (!(error instanceof RangeError)) throw error
    return program.error(`bench: ${error.message}`)
  }
}

function share(text: string): number {
  const value = Number(text)
  if (text.trim() === '' || !(value >= 0)) throw new InvalidArgumentError('a share is a number such as 0.1')
  return value
}

async function compare(options: CompareOptions): Promise<void> {
  const [recorded, now] = [await readReport(options.recorded), await readReport(options.with)]
  const comparisons = compareReports(recorded, now, options.tolerance)
  process.stdout.write(comparisonTable(comparisons))
  if (comparisons.some(isRegression)) process.exitCode = 1
}
