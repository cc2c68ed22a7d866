import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { readIfThere, writeFileAtomically } from './files.ts'

const serverFileSchema = z.object({ pid: z.number().int().positive(), url: z.string().nullable() })

/**
 * Who holds a data directory, for the commands that stop it: written as soon as the lock is taken, with the address once there is one.
 * What it says holds only while the lock is held.
 */
export type ServerFile = z.infer<typeof serverFileSchema>

export async function writeServerFile(dataDir: string, server: ServerFile): Promise<void> {
  await writeFileAtomically(path(dataDir), `${JSON.stringify(server)}\n`)
}

export async function readServerFile(dataDir: string): Promise<ServerFile | undefined> {
  const text = await readIfThere(path(dataDir))
  return text === undefined ? undefined : serverFileSchema.parse(JSON.parse(text))
}

export async function removeServerFile(dataDir: string): Promise<void> {
  await rm(path(dataDir), { force: true })
}

function path(dataDir: string): string {
  return join(dataDir, 'server.json')
}
