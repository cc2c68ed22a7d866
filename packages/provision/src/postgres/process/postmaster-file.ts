import { join } from 'node:path'
import { isSystemError } from '../../errors.ts'
import { readForeignFile } from '../../files.ts'

/** A System V segment: what a server keeps a second one off its directory by. */
export interface Sentinel {
  key: number
  id: number
}

/** What a running server writes about itself into its data directory (src/include/utils/pidfile.h), line by line as it starts. */
export interface PostmasterFile {
  pid: number
  dataDir: string
  sentinel: Sentinel | undefined
  /** `starting`, `ready`, `standby` (up, and takes no connection) or `stopping`. */
  status: string | undefined
}

export function postmasterFilePath(dataDir: string): string {
  return join(dataDir, 'postmaster.pid')
}

/** Undefined when there is none, or what has its name is no file of Postgres'. A copied data directory carries its source's: check `pid` before you believe any of it. */
export async function readPostmasterFile(dataDir: string): Promise<PostmasterFile | undefined> {
  try {
    const content = await readForeignFile(postmasterFilePath(dataDir))
    return content && parsePostmasterFile(content.toString())
  } catch (error) {
    if (isSystemError(error, 'ENOENT', 'ENOTDIR')) return undefined
    throw error
  }
}

export function parsePostmasterFile(text: string): PostmasterFile | undefined {
  const lines = text.split('\n').map((line) => line.trim())
  // A single-user server writes its pid negated.
  const pid = Math.abs(Number(lines[0]))
  if (!Number.isInteger(pid) || pid === 0) return undefined
  const [key, id] = (lines[6] ?? '').split(/\s+/).map(Number)
  return {
    pid,
    dataDir: lines[1] ?? '',
    sentinel: key !== undefined && id !== undefined && Number.isInteger(key + id) ? { key, id } : undefined,
    status: lines[7] || undefined,
  }
}
