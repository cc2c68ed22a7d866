#!/usr/bin/env node
// The root's commands, from a fresh checkout on: sets up what is missing, then does what was asked. Runs on any Node from 20; the rest
// runs on the Node that comes from npm. Nothing but Node's own modules is imported, since nothing else may be there yet.
import { spawn, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const bin = join(root, 'node_modules', '.bin')
const env = { ...process.env, PATH: `${bin}:${process.env.PATH}`, TURBO_TELEMETRY_DISABLED: '1', DO_NOT_TRACK: '1' }

function run([file, ...args], { cwd = root } = {}) {
  const result = spawnSync(file, args, { cwd, env, stdio: 'inherit' })
  if (result.error) throw result.error
  return result.status ?? 1
}

/** Runs a program in the root, whose output matters only if it fails: then it is shown, and this process ends with its status. */
async function quietly(doing, [file, ...args]) {
  const started = Date.now()
  const child = spawn(file, args, { cwd: root, env, stdio: ['ignore', 'pipe', 'pipe'] })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text) => (output += text))
  const say = () => process.stderr.write(`${doing} (${Math.round((Date.now() - started) / 1000)} s)\n`)
  // What is done in a moment needs no word; what takes long shows that it goes on.
  const first = setTimeout(say, 1500)
  const later = setInterval(say, 10_000)
  const [status] = await once(child, 'close').finally(() => {
    clearTimeout(first)
    clearInterval(later)
  })
  if (status === 0) return
  process.stderr.write(output)
  process.exit(status ?? 1)
}

/**
 * Installs what the lock file names, unless that was done already: for the server, all packages but the one that brings other people's
 * tools, since those are for tests. Where everything was installed once, everything is kept up to date.
 */
async function install(what = 'everything') {
  const stamp = join(root, 'node_modules', '.dblab-installed')
  const wanted = createHash('sha256')
    .update(readFileSync(join(root, 'pnpm-lock.yaml')))
    .update(readFileSync(join(root, 'pnpm-workspace.yaml')))
    .digest('hex')
  const [done, had] = existsSync(stamp) ? readFileSync(stamp, 'utf8').split(' ') : []
  const all = what === 'everything' || had === 'everything'
  if (done === wanted && (!all || had === 'everything')) return
  const { packageManager } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
  const program = ['npx', '--yes', packageManager, 'install', '--frozen-lockfile']
  // Nothing that is there is removed by leaving it out.
  const filter = all ? [] : ['--filter', '!@dblab/compat']
  await quietly('Installing what the lab needs, from npm', [...program, ...filter])
  mkdirSync(dirname(stamp), { recursive: true })
  writeFileSync(stamp, `${wanted} ${all ? 'everything' : 'server'}`)
}

async function build() {
  await quietly('Building the lab', ['turbo', 'run', 'build', '--output-logs=errors-only', '--no-update-notifier'])
}

/** Node 24 from npm where there is one for the platform; elsewhere the caller's, if it is new enough. */
function node24() {
  // Not the link in .bin: that is a shell script, which would get the signals in its stead.
  const fromNpm = join(root, 'node_modules', `node-${process.platform}-${process.arch}`, 'bin', 'node')
  if (existsSync(fromNpm)) return fromNpm
  if (Number(process.versions.node.split('.')[0]) >= 24) return process.execPath
  process.stderr.write(`The lab needs Node 24, and this is ${process.version}: install it, then try again\n`)
  process.exit(1)
}

/** The server's own commands run where the caller is: that is where `dblab.yaml` and `.dblab` are looked for. */
async function server(args) {
  await install('server')
  await build()
  // npm runs scripts in the root, and says where it was called.
  const cwd = process.env.INIT_CWD ?? process.cwd()
  const flags = JSON.parse(readFileSync(join(root, 'apps/server/node-flags.json'), 'utf8'))
  const argv = [...flags, join(root, 'apps/server/dist/main.js'), ...args]
  const child = spawn(node24(), argv, { cwd, env, stdio: 'inherit' })
  // A terminal signals the server too; it takes what comes within a second for one.
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal))
  const [code] = await once(child, 'exit')
  return code ?? 1
}

const commands = {
  start: (args) => server(['start', ...args]),
  stop: (args) => server(['stop', ...args]),
  destroy: (args) => server(['destroy', ...args]),
  rebuild: (args) => server(['rebuild', ...args]),
  token: (args) => server(['token', ...args]),
  test: async (args) => {
    await install()
    await build()
    return run(['node', 'scripts/test.mjs', ...args])
  },
  'test:long': async (args) => {
    await install()
    await build()
    return run(['node', 'scripts/test.mjs', '--long', ...args])
  },
  check: async (args) => {
    await install()
    return run(['node', 'scripts/check.mjs', ...args])
  },
  sbom: async (args) => {
    await install('server')
    return run(['node', 'scripts/sbom.mjs', ...args])
  },
  audit: async (args) => {
    await install('server')
    return run(['node', 'scripts/audit.mjs', ...args])
  },
  bench: async (args) => {
    await install()
    await build()
    return run([node24(), join(root, 'packages/bench/src/main.ts'), ...args], {
      cwd: process.env.INIT_CWD ?? process.cwd(),
    })
  },
  torture: async (args) => {
    await install()
    await build()
    return run([node24(), join(root, 'packages/torture/src/main.ts'), ...args], {
      cwd: process.env.INIT_CWD ?? process.cwd(),
    })
  },
}

const [name, ...args] = process.argv.slice(2)
const command = Object.hasOwn(commands, name ?? '') ? commands[name] : undefined
if (!command) {
  process.stderr.write(`Usage: npm run ${Object.keys(commands).join('|')}\n`)
  process.exit(2)
}
process.exitCode = await command(args)
