import { setTimeout as delay } from 'node:timers/promises'
import pLimit from 'p-limit'
import type { Config } from '../config/schema.ts'
import { type Foundations, openFoundations } from '../lab/foundations.ts'
import { readIdentity } from '../lab/identity.ts'
import { LabLockedError } from '../lab/lock.ts'
import { readServerFile } from '../lab/server-file.ts'

/** How long a server may take to end what it is doing. */
const SERVER_STOPS_WITHIN_MS = 60_000
const STOPPED_AT_ONCE = 8

/** Stops the server and every clone, cleanly. Nothing is deleted: the next start brings the clones back on their ports. */
export async function stop(config: Config): Promise<void> {
  if (!(await readIdentity(config.dataDir))) {
    process.stdout.write(`There is no lab in ${config.dataDir}.\n`)
    return
  }
  await using foundations = await takeOver(config)
  const count = await stopInstances(foundations)
  await foundations.storage.detach()
  process.stdout.write(`The lab is stopped, ${count} clones with it. "npm start" brings them back.\n`)
}

/** The lab's foundations for this process, once the server that has them is gone. */
export async function takeOver(config: Config, options: { anew?: boolean } = {}): Promise<Foundations> {
  const deadline = Date.now() + SERVER_STOPS_WITHIN_MS
  let asked = false
  for (;;) {
    try {
      return await openFoundations(config, options)
    } catch (error) {
      if (!(error instanceof LabLockedError) || Date.now() > deadline) throw error
    }
    if (!asked) asked = await askToStop(config)
    // A lock of the kernel's ends without telling anyone.
    await delay(50)
  }
}

/** The file is the running server's own: whoever holds the lock wrote it, and removes it before it lets go. */
async function askToStop(config: Config): Promise<boolean> {
  const server = await readServerFile(config.dataDir)
  if (!server) return false
  try {
    process.kill(server.pid, 'SIGTERM')
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ESRCH')) throw error
  }
  return true
}

async function stopInstances({ runtime }: Foundations): Promise<number> {
  const running = (await runtime.list()).filter((instance) => instance.state === 'running')
  const limit = pLimit(STOPPED_AT_ONCE)
  await Promise.all(running.map((instance) => limit(() => runtime.stop(instance.id, 'clean'))))
  return running.length
}
