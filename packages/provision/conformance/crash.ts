import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { StorageConfig } from '../src/storage/open.ts'

/** What the child clones: the suite has made it before. */
export const SOURCE = { volumeId: 'source', snapshotId: 'base' }

/** So that all have stopped when the first is killed. */
const STOPPING_MS = 50

/** Runs a process that works on the pool, and kills it and what it has started in the middle of that. */
export async function crash(config: StorageConfig, afterMs: number): Promise<void> {
  const child = spawn(process.execPath, [join(import.meta.dirname, 'crash-child.ts'), JSON.stringify(config)], {
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let stderr = ''
  child.stderr.on('data', (chunk: Buffer) => {
    stderr += chunk.toString()
  })
  const ended = once(child, 'close')
  const first = await Promise.race([once(child.stdout, 'data'), ended])
  await Promise.race([sleep(afterMs), ended])
  if (child.exitCode !== null || !String(first[0]).startsWith('ready')) {
    throw new Error(`the child ended before it was killed: ${stderr}`)
  }
  // Its whole process group, at one moment: what resets a machine takes the programs it runs as well.
  const group = -(child.pid ?? 0)
  process.kill(group, 'SIGSTOP')
  await sleep(STOPPING_MS)
  process.kill(group, 'SIGKILL')
  await ended
}
