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
const { status } = spawnSync(
  'vitest',
  ['run', '--reporter=default', '--reporter=json', `--outputFile.json=${report}`, ...filters],
  { stdio: 'inherit', env: { ...process.env, ...(long && { DBLAB_LONG_TESTS: '1' }) } },
)
const { passed, failed, skipped } = count(report)
rmSync(directory, { recursive: true })
process.stdout.write(`${passed} passed, ${failed} failed, ${skipped} skipped\n`)
// A run without tests, or with errors outside of any test, has not passed.
process.exitCode = status === 0 && failed === 0 && passed > 0 ? 0 : 1

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
