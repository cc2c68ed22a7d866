import { execFile, spawn } from 'node:child_process'
import { on, once } from 'node:events'
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { freePort, freePortRange } from '@dblab/provision/testbed'
import { type Lab, openLab } from '@dblab/sdk'
import { stringify } from 'yaml'

const execute = promisify(execFile)
/** The built server, as users run it. */
const MAIN = fileURLToPath(new URL('../../../apps/server/dist/main.js', import.meta.url))
const TOKEN = 'a-token-for-tests-only'

export interface RunningLab extends AsyncDisposable {
  client: Lab
}

/** A lab of its own, whose newest data is this dump, on the driver that works anywhere. Removed when disposed. */
export async function labOf(dump: string): Promise<RunningLab> {
  await using undo = new AsyncDisposableStack()
  const ports = undo.use(await freePortRange())
  const directory = await mkdtemp(join(tmpdir(), 'dblab-compat-'))
  undo.defer(() => rm(directory, { recursive: true }))
  // The account of Postgres must be able to pass it.
  await chmod(directory, 0o711)
  const port = await freePort()
  const clones = { portFrom: ports.from, portTo: ports.to }
  const config = { port, storage: { driver: 'copy' }, clones, sample: { scale: 0.01 } }
  await writeFile(join(directory, 'dblab.yaml'), stringify(config))
  const env = { PATH: process.env.PATH, HOME: process.env.HOME, DBLAB_TOKEN: TOKEN }
  undo.defer(async () => {
    await execute(process.execPath, [MAIN, 'destroy', '--yes'], { cwd: directory, env })
  })
  const args = [MAIN, 'start', '--import', dump]
  const server = spawn(process.execPath, args, { cwd: directory, env, stdio: ['ignore', 'pipe', 'pipe'] })
  const exited = once(server, 'exit')
  undo.defer(async () => {
    server.kill('SIGTERM')
    await exited
  })
  let log = ''
  server.stderr.setEncoding('utf8').on('data', (text) => {
    log += text
  })
  if (!(await saysReady(server.stdout))) throw new Error(`the lab did not start:\n${log}`)
  const client = undo.use(openLab({ url: `http://127.0.0.1:${port}`, token: TOKEN }))
  const made = undo.move()
  return { client, [Symbol.asyncDispose]: () => made.disposeAsync() }
}

/** False when it ends without having said so. */
async function saysReady(output: NodeJS.EventEmitter): Promise<boolean> {
  for await (const [chunk] of on(output, 'data', { close: ['end'] }))
    if (String(chunk).includes('is ready')) return true
  return false
}
