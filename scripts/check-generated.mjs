// Generates everything anew and compares it with what is committed: fails on a difference, and leaves the new files to be committed.
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'

const generated = [
  'apps/server/openapi.json',
  'apps/server/src/generated/routes.ts',
  'packages/sdk/src/schema.gen.ts',
  'README.md',
]

const read = () => generated.map((file) => readFileSync(file, 'utf8'))
const before = read()
const { status, stdout, stderr } = spawnSync('turbo', ['run', 'generate', '--force', '--output-logs=errors-only'], {
  encoding: 'utf8',
})
if (status !== 0) {
  process.stderr.write(`${stdout}${stderr}`)
  process.exit(1)
}
const after = read()
const stale = generated.filter((_, index) => before[index] !== after[index])
for (const file of stale) process.stderr.write(`${file} was not up to date; it is now: commit it\n`)
process.exitCode = stale.length > 0 ? 1 : 0
