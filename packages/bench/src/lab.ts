import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmod, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { freePort } from '@dblab/provision/testbed/ports'
import { type Lab, openLab } from '@dblab/sdk'
import { execa } from 'execa'
import { stringify } from 'yaml'

/** The built server, as users run it. */
const MAIN = fileURLToPath(new URL('../../../apps/server/dist/main.js', import.meta.url))
const TOKEN = 'a-token-for-the-benchmark'

export interface BenchLab extends AsyncDisposable {
  client: Lab
  /** Where the embedded pool is mounted. */
  pool: string
  /** The file tree of the snapshot that clones are made from. */
  snapshotFiles: string
}

/** A lab of its own with a sample database of this scale, on btrfs, as a first start makes it. Removed when disposed. */
export async function benchLab(scale: number): Promise<BenchLab> {
  const directory = await mkdtemp(join(tmpdir(), 'dblab-bench-'))
  await chmod(directory, 0o711)
  const port = await freePort()
  const config = { port, logLevel: 'warn', storage: { driver: 'btrfs', imageSize: '20GB' }, sample: { scale } }
  await writeFile(join(directory, 'dblab.yaml'), stringify(config))
  const env = { PATH: process.env.PATH, DBLAB_TOKEN: TOKEN }
  const server = spawn(process.execPath, [MAIN, 'start'], { cwd: directory, env, stdio: ['ignore', 'pipe', 'inherit'] })
  const exited = once(server, 'exit')
  const remove = async () => {
    server.kill('SIGTERM')
    await exited
    await execa(process.execPath, [MAIN, 'destroy', '--yes'], {
      cwd: directory,
      env,
      extendEnv: false,
      stderr: 'inherit',
    })
    await rm(directory, { recursive: true })
  }
  try {
    if (!(await saysReady(server.stdout))) throw new Error('the lab did not start')
    const pool = join(directory, '.dblab/pool')
    const [snapshot = ''] = await readdir(join(pool, 'snapshots'))
    return {
      client: openLab({ url: `http://127.0.0.1:${port}`, token: TOKEN }),
      pool,
      snapshotFiles: join(pool, 'snapshots', snapshot, 'files'),
      [Symbol.asyncDispose]: remove,
    }
  } catch (error) {
    await remove()
    throw error
  }
}

/** False when it ends without having said so. */
async function saysReady(output: NodeJS.ReadableStream): Promise<boolean> {
  for await (const chunk of output) if (String(chunk).includes('is ready')) return true
  return false
}
