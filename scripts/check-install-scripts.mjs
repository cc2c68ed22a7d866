// A package that would run a program of its own when it is installed has to be named in pnpm-workspace.yaml, to run or not to run.
import { globSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

// https://docs.npmjs.com/cli/v11/using-npm/scripts#npm-install; a binding.gyp makes npm and pnpm run node-gyp.
const HOOKS = ['preinstall', 'install', 'postinstall']
const root = dirname(dirname(fileURLToPath(import.meta.url)))
const store = process.argv[2] ?? join(root, 'node_modules/.pnpm')
const listed = named(readFileSync(join(root, 'pnpm-workspace.yaml'), 'utf8'))

const manifests = globSync(['*/node_modules/*/package.json', '*/node_modules/@*/*/package.json'], { cwd: store })
const unlisted = new Set()
let count = 0
for (const path of manifests) {
  const { name, scripts = {} } = JSON.parse(readFileSync(join(store, path), 'utf8'))
  // What lies in a package is its neighbours too, by links; each is looked at once.
  count++
  const builds = globSync('binding.gyp', { cwd: join(store, dirname(path)) }).length > 0
  if ((builds || HOOKS.some((hook) => hook in scripts)) && !listed.has(name)) unlisted.add(name)
}
for (const name of unlisted)
  process.stderr.write(`${name} has an install script, and is not named in pnpm-workspace.yaml\n`)
if (count < 100) process.stderr.write(`only ${count} packages were found in ${store}\n`)
else process.stdout.write(`${count} packages\n`)
process.exitCode = unlisted.size > 0 || count < 100 ? 1 : 0

/** The entries of the two lists, which pnpm itself goes by. */
function named(yaml) {
  const names = new Set()
  let inside = false
  for (const line of yaml.split('\n')) {
    if (/^\S/.test(line) && !line.startsWith('#'))
      inside = /^(?:onlyBuiltDependencies|ignoredBuiltDependencies):/.test(line)
    const entry = /^\s+- "?([^"\s]+)"?/.exec(line)?.[1]
    if (inside && entry) names.add(entry)
  }
  return names
}
