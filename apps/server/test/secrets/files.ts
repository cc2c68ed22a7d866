import { open } from 'node:fs/promises'
import { basename } from 'node:path'
import { isSystemError } from '@dblab/provision'
import { filesBelow } from '../support/files-below.ts'
import type { Secrets } from './forms.ts'

/** Small enough that many are nothing but zeros: those are most of a sparse image, and much of a Postgres. */
const PIECE = 128 * 1024

export interface Scan {
  /** A line for each file in which a secret was found. */
  found: string[]
  files: number
  bytes: number
}

/** Reads every byte of every file below a directory, those of mounted file systems too. What goes meanwhile is passed over. */
export async function scanFiles(directory: string, secrets: Secrets, passOver: string[] = []): Promise<Scan> {
  const scan: Scan = { found: [], files: 0, bytes: 0 }
  for await (const path of filesBelow(directory)) {
    if (passOver.includes(basename(path))) continue
    // A name is written down too.
    for (const what of secrets.in(path)) scan.found.push(`${path}: its name holds ${what}`)
    try {
      const { bytes, found } = await scanFile(path, secrets)
      scan.files++
      scan.bytes += bytes
      for (const what of found) scan.found.push(`${path}: ${what}`)
    } catch (error) {
      if (!isSystemError(error, 'ENOENT')) throw error
    }
  }
  return scan
}

async function scanFile(path: string, secrets: Secrets): Promise<{ bytes: number; found: Set<string> }> {
  await using file = await open(path)
  const overlap = secrets.longest
  const buffer = Buffer.alloc(overlap + PIECE)
  const zeros = Buffer.alloc(PIECE)
  const found = new Set<string>()
  let bytes = 0
  for (let kept = 0; ; ) {
    const { bytesRead } = await file.read(buffer, kept, PIECE)
    if (bytesRead === 0) return { bytes, found }
    bytes += bytesRead
    const piece = buffer.subarray(0, kept + bytesRead)
    const isEmpty = buffer.subarray(kept, kept + bytesRead).equals(zeros.subarray(0, bytesRead))
    if (!isEmpty) for (const what of secrets.in(piece)) found.add(what)
    kept = Math.min(overlap, piece.length)
    buffer.copyWithin(0, piece.length - kept, piece.length)
  }
}
