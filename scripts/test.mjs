// Runs every test that this machine can run, and says at the end how many there were. What was skipped says why in its title. A driver
// that is named in REQUIRED_DRIVERS fails where it can't be tested.
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const args = process.argv.slice(2)
const long = args.includes('--long')
const filters = args.filter((arg) => arg !== '--long')
const directory = mkdtempSync(join(tmpdir(), 'dblab-test-report-'))
const report = join(directory, 'report.json')
const slow = !long && filters.length === 0 && isSlow()
const { status } = spawnSync(
  'vitest',
  ['run', '--reporter=default', '--reporter=json', `--outputFile.json=${report}`, ...filters],
  {
    stdio: 'inherit',
    env: { ...process.env, ...(long && { DBLAB_LONG_TESTS: '1' }), ...(slow && { DBLAB_SLOW_MACHINE: '1' }) },
  },
)
const { passed, failed, skipped } = count(report)
rmSync(directory, { recursive: true })
process.stdout.write(`${passed} passed, ${failed} failed, ${skipped} skipped\n`)
// A run without tests, or with errors outside of any test, has not passed.
process.exitCode = status === 0 && failed === 0 && passed > 0 ? 0 : 1

/** Some virtual machines take ten times as long for each process and each new page of memory, of which these tests are made. */
function isSlow() {
  const LIMIT_MS = 100
  const times = [1, 2, 3, 4, 5].map(() => {
    const started = performance.now()
    spawnSync(process.execPath, ['-e', '0'])
    return performance.now() - started
  })
  const ms = Math.round(Math.min(...times))
  if (ms <= LIMIT_MS) return false
  process.stdout.write(
    `This machine takes ${ms} ms to start a program that does nothing: tests that vary others are left out (NOT_WHERE_SLOW in vitest.config.ts). All of them: npm run test:long\n`,
  )
  return true
}

function count(file) {
  let results
  try {
    results = JSON.parse(readFileSync(file, 'utf8'))
  } catch (error) {
    process.stderr.write(`the test runner left no report: ${error.message}\n`)
    return { passed: 0, failed: 1, skipped: 0 }
  }
  const { numPassedTests, numFailedTests, numPendingTests, numTodoTests, numFailedTestSuites, success } = results
  // A file that fails outside of its tests has none to count.
  const outside = !success && numFailedTests === 0 ? Math.max(1, numFailedTestSuites) : 0
  return { passed: numPassedTests, failed: numFailedTests + outside, skipped: numPendingTests + numTodoTests }
}
