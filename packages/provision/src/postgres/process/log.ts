import { statSync } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import { isSystemError } from '../../errors.ts'

/** A log grows to the first before it is cut to the second. */
export const LOG_BOUNDS = { maxBytes: 10 * 1024 * 1024, keepBytes: 1024 * 1024 } as const

/** The longest piece of a log that is read at once; longer than any 1,000 lines that a person asked for. */
const TAIL_BYTES = 1024 * 1024

/** The last lines, oldest first. Reads the end of the file only, so of very long lines it may give fewer. No file has no lines. */
export async function tailLines(path: string, lines: number): Promise<string[]> {
  if (lines <= 0) return []
  return (await readFrom(path, (size) => Math.max(0, size - TAIL_BYTES))).slice(-lines)
}

/** The lines that were written after the file had `offset` bytes. */
export async function linesSince(path: string, offset: number): Promise<string[]> {
  // A log that has been cut since begins anew.
  return readFrom(path, (size) => (offset > size ? 0 : Math.max(offset, size - TAIL_BYTES)))
}

export async function logSize(path: string): Promise<number> {
  return (await withFile(path, 'r', async (file) => (await file.stat()).size)) ?? 0
}

/**
 * Cuts a log that has grown past its bound to its newest part, in place: the server goes on writing into the same file, and since it
 * appends, it goes on at the new end. A line that it writes in the very moment may be lost.
 */
export async function trimLog(
  path: string,
  bounds: { maxBytes: number; keepBytes: number } = LOG_BOUNDS,
): Promise<void> {
  // Most never are, and are asked often.
  if ((statSync(path, { throwIfNoEntry: false })?.size ?? 0) <= bounds.maxBytes) return
  await withFile(path, 'r+', async (file) => {
    const { size } = await file.stat()
    if (size <= bounds.maxBytes) return
    const newest = await readPart(file, size - bounds.keepBytes, bounds.keepBytes)
    const firstWhole = newest.indexOf('\n') + 1
    await file.truncate(0)
    await file.write(newest.subarray(firstWhole), 0, newest.length - firstWhole, 0)
  })
}

async function readFrom(path: string, start: (size: number) => number): Promise<string[]> {
  const text = await withFile(path, 'r', async (file) => {
    const { size } = await file.stat()
    const from = start(size)
    const part = (await readPart(file, from, size - from)).toString('utf8')
    // Beginning in the middle of a file is beginning in the middle of a line, unless one has just ended.
    const cut = from > 0 && size - from >= TAIL_BYTES
    return cut ? part.slice(part.indexOf('\n') + 1) : part
  })
  if (text === undefined || text === '') return []
  return text.replace(/\n$/, '').split('\n')
}

async function readPart(file: FileHandle, position: number, length: number): Promise<Buffer> {
  const buffer = Buffer.alloc(length)
  const { bytesRead } = await file.read(buffer, 0, length, position)
  return buffer.subarray(0, bytesRead)
}

async function withFile<T>(
  path: string,
  flags: string,
  work: (file: FileHandle) => Promise<T>,
): Promise<T | undefined> {
  let file: FileHandle
  try {
    file = await open(path, flags)
  } catch (error) {
    if (isSystemError(error, 'ENOENT', 'ENOTDIR')) return undefined
    throw error
  }
  try {
    return await work(file)
  } finally {
    await file.close()
  }
}
