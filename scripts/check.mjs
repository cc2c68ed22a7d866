// What every change must pass, in under a minute: format and lint, types, unused code, generated files, install scripts, licences, unit
// tests. All of them run, so that one look shows everything.
import { spawnSync } from 'node:child_process'

const checks = [
  ['format and lint', ['biome', 'check', '--error-on-warnings', '.']],
  ['types', ['turbo', 'run', 'types', '--output-logs=errors-only']],
  ['unused code', ['knip']],
  ['generated files', ['node', 'scripts/check-generated.mjs']],
  ['install scripts', ['node', 'scripts/check-install-scripts.mjs']],
  ['licences', ['node', 'scripts/check-licences.mjs']],
  ['OpenAPI document', ['redocly', 'lint', 'apps/server/openapi.json']],
  [
    'unit tests',
    [
      'vitest',
      'run',
      '--project',
      'provision',
      '--project',
      'sdk',
      '--project',
      'bench',
      '--project',
      'compat',
      '--project',
      'torture',
      '--project',
      'server',
    ],
  ],
]

const failed = []
for (const [name, [file, ...args]] of checks) {
  const started = Date.now()
  const { status, stdout, stderr, error } = spawnSync(file, args, {
    encoding: 'utf8',
    env: { ...process.env, REDOCLY_TELEMETRY: 'off' },
  })
  const seconds = ((Date.now() - started) / 1000).toFixed(1)
  process.stdout.write(`${status === 0 ? 'ok    ' : 'FAILED'} ${name} (${seconds} s)\n`)
  if (status !== 0) {
    failed.push(name)
    process.stdout.write(`${error ?? ''}${stdout ?? ''}${stderr ?? ''}\n`)
  }
}
if (failed.length > 0)
  process.stdout.write(`\n${failed.length} of ${checks.length} checks failed: ${failed.join(', ')}\n`)
process.exitCode = failed.length > 0 ? 1 : 0
