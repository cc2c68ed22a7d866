// Every package that runs in production has a licence under which this one may be given away; another one wants a decision first.
import { spawnSync } from 'node:child_process'

const allowed = [
  '0BSD',
  'Apache-2.0',
  'BSD-2-Clause',
  'BSD-3-Clause',
  'BlueOak-1.0.0',
  'ISC',
  'MIT',
  'PostgreSQL',
  'Unlicense',
]

const { status, stdout, stderr, error } = spawnSync('pnpm', ['licenses', 'list', '--json', '--prod'], {
  encoding: 'utf8',
  maxBuffer: 1 << 26,
})
if (status !== 0) {
  process.stderr.write(`the licences could not be listed: ${error ?? ''}${stdout}${stderr}\n`)
  process.exit(1)
}
const byLicence = Object.entries(JSON.parse(stdout))
const count = byLicence.reduce((sum, [, packages]) => sum + packages.length, 0)
const refused = byLicence.filter(([licence]) => !allowed.includes(licence))
for (const [licence, packages] of refused) {
  const names = packages.map(({ name, versions }) => `${name} ${versions.join(', ')}`)
  process.stderr.write(`${licence} is not among the licences that are allowed: ${names.join('; ')}\n`)
}
// An empty list would pass anything.
if (count < 50) process.stderr.write(`only ${count} packages were listed\n`)
else process.stdout.write(`${count} packages\n`)
process.exitCode = refused.length > 0 || count < 50 ? 1 : 0
