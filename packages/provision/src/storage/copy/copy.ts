import type { Stats } from 'node:fs'
import { constants, copyFile, open } from 'node:fs/promises'
import type { StorageConfig, StoragePool } from '../config.ts'
import { openDirectory } from '../directory.ts'
import { plainTrees } from '../plain-trees.ts'

/** How much of a sparse file is read at once, and the smallest hole that a copy of it keeps. */
const CHUNK_BYTES = 1024 * 1024
const HOLE_BYTES = 64 * 1024

/** Plain copies: runs in any directory, takes the time and the space of the data for every clone. The reference driver. */
export function openCopy(config: StorageConfig): Promise<StoragePool> {
  return openDirectory(config, plainTrees('copy', { check, sharesBlocks: false, copyFile: copyPlainly }))
}

async function check(): Promise<void> {
  // Any directory that can be written to will do.
}

async function copyPlainly(from: string, to: string, stats: Stats): Promise<void> {
  // `blocks` counts 512 bytes each, whatever the file system's own block size (stat(2)).
  if (stats.blocks * 512 < stats.size) await copySparsely(from, to, stats.size)
  else await copyFile(from, to, constants.COPYFILE_EXCL)
}

/** Node has no call to seek a hole: runs of zeros become holes instead. */
async function copySparsely(from: string, to: string, size: number): Promise<void> {
  await using source = await open(from, 'r')
  await using target = await open(to, 'wx', 0o600)
  const buffer = Buffer.alloc(CHUNK_BYTES)
  const zeros = Buffer.alloc(HOLE_BYTES)
  for (let position = 0; ; ) {
    const { bytesRead } = await source.read(buffer, 0, CHUNK_BYTES, position)
    if (bytesRead === 0) break
    for (let offset = 0; offset < bytesRead; offset += HOLE_BYTES) {
      const piece = buffer.subarray(offset, Math.min(offset + HOLE_BYTES, bytesRead))
      if (piece.compare(zeros, 0, piece.length) !== 0) await writeAll(target, piece, position + offset)
    }
    position += bytesRead
  }
  await target.truncate(size)
}

async function writeAll(file: Awaited<ReturnType<typeof open>>, piece: Buffer, position: number): Promise<void> {
  for (let written = 0; written < piece.length; ) {
    const { bytesWritten } = await file.write(piece, written, piece.length - written, position + written)
    written += bytesWritten
  }
}
