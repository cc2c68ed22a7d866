// Runs a command of a newer pnpm than the one that installs, for what the older one lacks: `sbom`, and an `audit` that asks the endpoint
// which the registry still has. It works on a copy of the manifests and the lock file, in which what it reads in another form is changed.
import { spawnSync } from 'node:child_process'
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const NEWER = 'pnpm@12.21.0'
const MANIFESTS = [
  'package.json',
  'pnpm-workspace.yaml',
  'apps/server/package.json',
  ...['bench', 'models', 'provision', 'sdk'].map((name) => `packages/${name}/package.json`),
]

/** Its status, and what it printed. Only the lock file is read: nothing is installed. */
export function newerPnpm(args) {
  const copy = mkdtempSync(join(tmpdir(), 'dblab-supply-'))
  try {
    for (const file of MANIFESTS) cpSync(join(root, file), join(copy, file), { recursive: true })
    writeFileSync(join(copy, 'pnpm-lock.yaml'), lockFile())
    return spawnSync('npx', ['--yes', NEWER, ...args], {
      cwd: copy,
      encoding: 'utf8',
      maxBuffer: 1 << 26,
      // The copy names the older one as the project's own.
      env: { ...process.env, npm_config_manage_package_manager_versions: 'false' },
    })
  } finally {
    rmSync(copy, { recursive: true })
  }
}

/** `cpu: x64`, as two packages have it, is written out as the text that it is; the newer one wants a list. */
function lockFile() {
  const text = readFileSync(join(root, 'pnpm-lock.yaml'), 'utf8')
  return text.replace(/^( {4}(?:cpu|os|libc)): (\w+)$/gm, '$1: [$2]')
}
