import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { identifyProcess } from '@dblab/provision'
import { z } from 'zod'
import { readIfThere, writeFileAtomically } from './files.ts'

const serverFileSchema = z.object({
  pid: z.int().positive(),
  /** Tells it from a later process of the same pid. */
  startedAt: z.string(),
  /** Null until it listens. */
  url: z.string().nullable(),
})

/**
 * Which server holds a data directory, for the commands that stop it: written as soon as the lock is taken, with the address once there
 * is one. A server that was killed leaves it behind; whoever takes the lock next replaces or removes it.
 */
export type ServerFile = z.infer<typeof serverFileSchema>

/** Notes this very process. */
export async function writeServerFile(dataDir: string, url: string | null): Promise<void> {
  const self = await identifyProcess(process.pid)
  if (!self) throw new Error('the process table has no entry of this process')
  await writeFileAtomically(path(dataDir), `${JSON.stringify({ ...self, url } satisfies ServerFile)}\n`)
}

/** Undefined where there is none, or one that another version wrote. */
export async function readServerFile(dataDir: string): Promise<ServerFile | undefined> {
  const text = await readIfThere(path(dataDir))
  return text === undefined ? undefined : serverFileSchema.safeParse(JSON.parse(text)).data
}

export async function removeServerFile(dataDir: string): Promise<void> {
  await rm(path(dataDir), { force: true })
}

function path(dataDir: string): string {
  return join(dataDir, 'server.json')
}
