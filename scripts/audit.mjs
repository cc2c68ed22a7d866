// Asks the registry for known weaknesses of what runs in production. Ends with 1 when there are some, and with 2 when it could not be
// asked, which says nothing of whether there are.
import { newerPnpm } from './newer-pnpm.mjs'

const { status, stdout, stderr, error } = newerPnpm(['audit', '--prod', '--json'])
const report = parse(stdout)
if (report === undefined) {
  process.stderr.write(
    `The registry could not be asked for known weaknesses: ${lastLine(stderr) || error || 'no answer'}\n`,
  )
  process.exit(2)
}
const found = Object.values(report.metadata.vulnerabilities).reduce((sum, count) => sum + count, 0)
process.stdout.write(`${found} known weaknesses: ${JSON.stringify(report.metadata.vulnerabilities)}\n`)
if (found > 0) process.stdout.write(`${JSON.stringify(report.advisories ?? report, null, 2)}\n`)
process.exitCode = found > 0 || status !== 0 ? 1 : 0

function parse(text) {
  try {
    const parsed = JSON.parse(text)
    return parsed.metadata?.vulnerabilities ? parsed : undefined
  } catch (reason) {
    if (!(reason instanceof SyntaxError)) throw reason
    return undefined
  }
}

function lastLine(text = '') {
  return text
    .split('\n')
    .filter((line) => /\w/.test(line) && !/^npm warn/.test(line))
    .slice(0, 6)
    .join(' ')
}
