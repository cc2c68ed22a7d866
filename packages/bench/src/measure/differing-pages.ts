import { type FileHandle, open, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { isSystemError } from '@dblab/provision'

/** Postgres reads and writes its files, and its log, in blocks of this (BLCKSZ and XLOG_BLCKSZ where they are not changed). */
const PAGE_BYTES = 8192
const CHUNK_BYTES = 128 * PAGE_BYTES

export interface DifferingBytes {
  /** Tables, indexes, and all that is not WAL. */
  data: number
  wal: number
}

/**
 * How much of a data directory is not as in the one that it was copied from, in whole pages, byte by byte: what Postgres has written and
 * was not there before, hint bits too. A page that was written twice counts once, and one that was written as it was, not at all.
 *
 * @param before is read alone, as is `after`, whose server should have made a checkpoint
 */
export async function differingBytes(before: string, after: string): Promise<DifferingBytes> {
  const differing = { data: 0, wal: 0 }
  for (const entry of await readdir(after, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue
    const path = join(entry.parentPath, entry.name).slice(after.length + 1)
    const bytes = await differingIn(join(before, path), join(after, path))
    differing[path.startsWith('pg_wal/') ? 'wal' : 'data'] += bytes
  }
  return differing
}

async function differingIn(before: string, after: string): Promise<number> {
  await using newer = await openIfThere(after)
  if (!newer) return 0
  await using older = await openIfThere(before)
  const [old, now] = [Buffer.alloc(CHUNK_BYTES), Buffer.alloc(CHUNK_BYTES)]
  let bytes = 0
  for (let position = 0; ; position += CHUNK_BYTES) {
    const { bytesRead } = await newer.read(now, 0, CHUNK_BYTES, position)
    if (bytesRead === 0) return bytes
    const had = (await older?.read(old, 0, CHUNK_BYTES, position))?.bytesRead ?? 0
    bytes += differingInChunk(old.subarray(0, had), now.subarray(0, bytesRead))
  }
}

function differingInChunk(old: Buffer, now: Buffer): number {
  if (old.equals(now)) return 0
  let bytes = 0
  for (let at = 0; at < now.length; at += PAGE_BYTES) {
    const page = now.subarray(at, at + PAGE_BYTES)
    if (!page.equals(old.subarray(at, at + PAGE_BYTES))) bytes += PAGE_BYTES
  }
  return bytes
}

/** A running server removes files as well. */
async function openIfThere(path: string): Promise<FileHandle | undefined> {
  try {
    return await open(path)
  } catch (error) {
    if (isSystemError(error, 'ENOENT')) return undefined
    throw error
  }
}
