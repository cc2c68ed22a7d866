import { setTimeout as delay } from 'node:timers/promises'
import { isProvisionError, openProcessTable, type ProcessIdentity, signalProcess } from '@dblab/provision'
import pLimit from 'p-limit'
import type { Config } from '../config/schema.ts'
import { type Foundations, openFoundations } from '../lab/foundations.ts'
import { readIdentity } from '../lab/identity.ts'
import { LabLockedError } from '../lab/lock.ts'
import { readServerFile } from '../lab/server-file.ts'

/** How long a server may take to end what it is doing. */
const SERVER_STOPS_WITHIN_MS = 60_000
const STOPPED_AT_ONCE = 8

/** A server was asked to stop, and goes on with what it was doing. */
export class StillRunningError extends Error {
  override readonly name = 'StillRunningError'
}

/** Stops the server and every clone, cleanly. Nothing is deleted: the next start brings the clones back on their ports. */
export async function stop(config: Config): Promise<void> {
  if (!(await readIdentity(config.dataDir))) {
    process.stdout.write(`There is no lab in ${config.dataDir}.\n`)
    return
  }
  await using foundations = await takeOver(config, 'stop')
  const count = await stopInstances(foundations)
  await foundations.storage.detach()
  const servers = count === 1 ? '1 Postgres server' : `${count} Postgres servers`
  process.stdout.write(`The lab is stopped, ${servers} with it. "npm start" brings them back.\n`)
}

/** The lab's foundations for this process, once the server that has them is gone. */
export async function takeOver(config: Config, purpose: 'stop' | 'destroy'): Promise<Foundations> {
  const deadline = Date.now() + SERVER_STOPS_WITHIN_MS
  let asked: ProcessIdentity | undefined
  for (;;) {
    try {
      return await openFoundations(config, purpose)
    } catch (error) {
      if (!(error instanceof LabLockedError)) throw error
      if (Date.now() > deadline) throw stillRunning(asked, error)
    }
    asked ??= await askToStop(config)
    // A lock of the kernel's ends without telling anyone.
    await delay(50)
  }
}

/** What a killed server left speaks of another process, or of none: that one is not asked. */
async function askToStop(config: Config): Promise<ProcessIdentity | undefined> {
  const server = await readServerFile(config.dataDir)
  return server && (await signalProcess(openProcessTable(), server, 'SIGTERM')) ? server : undefined
}

function stillRunning(server: ProcessIdentity | undefined, cause: unknown): StillRunningError {
  const seconds = SERVER_STOPS_WITHIN_MS / 1000
  const message = server
    ? `The server (process ${server.pid}) did not end within ${seconds} seconds of being asked to. Try again, or end it at once with "kill -9 ${server.pid}": the next start puts things in order.`
    : `Another command holds this lab, and did not end within ${seconds} seconds. Try again when it has.`
  return new StillRunningError(message, { cause })
}

async function stopInstances({ runtime }: Foundations): Promise<number> {
  // Those that are dead too: what a killed Postgres left, or one whose killing was cut off, still works in the pool.
  const instances = await runtime.list()
  const limit = pLimit(STOPPED_AT_ONCE)
  const stops = instances.map((instance) => limit(() => runtime.stop(instance.id, 'clean')))
  // All of them first: the pool is in use, and the lab is held, until the last has ended.
  for (const [index, result] of (await Promise.allSettled(stops)).entries()) {
    if (result.status === 'fulfilled') continue
    // It is stopped all the same, and what it did not write out is in its log, from which the next start recovers it. Of one that was
    // dead, such as on a disk that can't be read, nothing holds the others.
    const wasDead = instances[index]?.state === 'dead'
    if (!wasDead && !isProvisionError(result.reason, 'FAILED')) throw result.reason
    process.stderr.write(`${result.reason instanceof Error ? result.reason.message : String(result.reason)}\n`)
  }
  return instances.filter((instance) => instance.state === 'running').length
}
