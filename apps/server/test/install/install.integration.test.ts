import { type ChildProcess, execFile, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { chmod, chown, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { freePort, isLong, isRoot } from '@dblab/provision/testbed'
import { describe, expect, test } from 'vitest'
import { leftovers } from '../support/leftovers.ts'

const execute = promisify(execFile)
const repository = fileURLToPath(new URL('../../../..', import.meta.url))
const NOBODY = 65534

/** It installs everything from npm, twice: too much for a developer's `npm test`. */
function whySkipped(): string | undefined {
  if (!isLong && !process.env.DBLAB_INSTALL_TESTS) return 'installs from npm: npm run test:long'
  if (!isRoot) return 'needs root, to be another account too'
  const { status } = spawnSync('git', ['-C', repository, 'rev-parse', '--verify', 'HEAD'])
  return status === 0 ? undefined : 'git has no commit of this checkout to make a fresh one of'
}

const skipped = whySkipped()

/** This process' own, without what it has of this checkout: what tells npm how to reach its registry stays. */
function strangersEnvironment(): NodeJS.ProcessEnv {
  const foreign = Object.entries(process.env).filter(
    ([name]) => !/^(npm_|DBLAB_|INIT_CWD|NODE_OPTIONS|VITEST|CI$)/i.test(name),
  )
  const path = (process.env.PATH ?? '').split(':').filter((directory) => !directory.includes('node_modules'))
  return { ...Object.fromEntries(foreign), PATH: path.join(':') }
}

/** A fresh checkout of what is committed, below a home that nobody else may enter. */
async function checkout(owner: number): Promise<{ home: string; directory: string }> {
  const home = await mkdtemp(join(tmpdir(), 'dblab-home-'))
  const directory = join(home, 'checkout')
  await mkdir(directory)
  await execute('git', ['clone', '--quiet', '--no-hardlinks', repository, directory])
  await execute('chown', ['-R', `${owner}:${owner}`, home])
  await chown(home, owner, owner)
  await chmod(home, 0o700)
  return { home, directory }
}

describe.skipIf(skipped !== undefined)(`npm start in a fresh checkout (${skipped ?? 'of another account'})`, () => {
  const accounts: [string, number][] = [['as an ordinary user', NOBODY]]
  if (isLong) accounts.push(['as root, below a home that nobody else may enter', 0])
  test.each(accounts)('%s', { timeout: 1_200_000 }, async (_, uid) => {
    const { home, directory } = await checkout(uid)
    const env = { ...strangersEnvironment(), HOME: home, DBLAB_PORT: String(await freePort()) }
    const npm = (...args: string[]) =>
      spawn('npm', args, { cwd: directory, env, uid, gid: uid, detached: true, stdio: ['ignore', 'pipe', 'pipe'] })

    const cold = await untilReady(npm('start'))
    // On a machine that is slow, or busy with other tests, what loads the server and does nothing tells by how much.
    const load = await secondsToLoad(directory)
    expect(cold.seconds).toBeLessThan(Math.max(180, 360 * load))
    // What only tests want is left out, until something wants all.
    const ofTests = join(directory, 'packages/compat/node_modules')
    expect(existsSync(ofTests)).toBe(false)
    await controlC(cold.process)
    const warm = await untilReady(npm('start'))
    expect(warm.seconds).toBeLessThan(Math.max(5, 10 * load))
    await controlC(warm.process)
    expect(await ended(npm('run', 'stop'))).toContain('The lab is stopped')
    const dump = join(directory, 'mine.sql')
    await writeFile(dump, 'CREATE TABLE answers AS SELECT 42 AS answer;\n')
    const imported = await untilReady(npm('start', '--', '--import', dump))
    expect(imported.output).toContain('database=mine')
    await controlC(imported.process)
    // The benchmark's pool takes root.
    if (uid === 0) expect(await ended(npm('run', 'bench', '--', 'cold', '--quick'))).toContain('to first row')
    expect(await ended(npm('run', 'destroy', '--', '--yes'))).toContain('The lab is gone')
    expect(existsSync(ofTests)).toBe(uid === 0)
    expect(await leftovers(directory)).toMatchObject({ servers: [], mounts: [], loops: [], volumes: [] })
    expect(await readFile('/proc/self/mounts', 'utf8')).not.toContain(directory)
    await rm(home, { recursive: true })
  })
})

async function secondsToLoad(directory: string): Promise<number> {
  const started = performance.now()
  await execute(process.execPath, [join(directory, 'apps/server/dist/main.js'), '--help'])
  return (performance.now() - started) / 1000
}

interface Ready {
  process: ChildProcess
  seconds: number
  /** Of both streams. */
  output: string
}

async function untilReady(process: ChildProcess): Promise<Ready> {
  const started = Date.now()
  let output = ''
  process.stderr?.on('data', (chunk) => {
    output += chunk
  })
  for await (const chunk of process.stdout ?? []) {
    output += chunk
    if (output.includes('Three lines to try')) return { process, seconds: (Date.now() - started) / 1000, output }
  }
  throw new Error(`it ended before it was ready:\n${output}`)
}

/** A terminal signals the whole group. */
async function controlC(child: ChildProcess): Promise<void> {
  child.stdout?.resume()
  process.kill(-(child.pid ?? 0), 'SIGINT')
  await once(child, 'exit')
}

async function ended(child: ChildProcess): Promise<string> {
  let output = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream?.on('data', (chunk) => {
      output += chunk
    })
  }
  const [code] = await once(child, 'close')
  expect(code, output).toBe(0)
  return output
}
