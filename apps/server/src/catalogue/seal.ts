import { createHash } from 'node:crypto'
import { closeSync, constants, fdatasync, fdatasyncSync, openSync, readSync, writeSync } from 'node:fs'
import { promisify } from 'node:util'
import { isSystemError } from '@dblab/provision'

/** What a catalogue holds, in a few bytes: how often a row of it changed, and the sum of the digests of all its rows. */
export interface Contents {
  changes: bigint
  digest: bigint
}

/** Of a catalogue without any row. */
export const NOTHING: Contents = { changes: 0n, digest: 0n }

const MODULUS = 1n << 64n

/** As one value of the table `meta`. */
export function formatContents({ changes, digest }: Contents): string {
  return `${changes}:${digest.toString(16).padStart(16, '0')}`
}

/** Undefined for anything else. */
export function parseContents(text: string): Contents | undefined {
  const [, changes, digest] = /^(\d{1,19}):([0-9a-f]{16})$/.exec(text) ?? []
  return changes === undefined || digest === undefined
    ? undefined
    : { changes: BigInt(changes), digest: BigInt(`0x${digest}`) }
}

/** After a row was changed, added (from nothing) or removed (to nothing). A sum does not mind the order of the rows. */
export function changed({ changes, digest }: Contents, from: string | null, to: string | null): Contents {
  return { changes: changes + 1n, digest: (digest - digestOf(from) + digestOf(to) + MODULUS) % MODULUS }
}

/** Of one row as text; 0 for none. */
export function digestOf(row: string | null): bigint {
  return row === null ? 0n : createHash('sha256').update(row).digest().readBigUInt64BE()
}

/** What a disk writes whole or not at all. */
const SECTOR = 512

/**
 * The last contents that were acknowledged, in a small file beside the catalogue, written in place after each commit. SQLite takes a log
 * whose end is torn off for one that ended there, and so would open the catalogue without the commits that were in it; by this file the
 * loss is seen. There are two sectors, written in turn, so that a torn one leaves the other.
 */
export class Seal {
  readonly #file: string
  #fd: number | undefined

  constructor(file: string) {
    this.#file = file
  }

  /** Undefined where there is none, as beside the catalogue of an earlier server. */
  read(): Contents | undefined {
    const content = Buffer.alloc(2 * SECTOR)
    try {
      const fd = openSync(this.#file, 'r')
      try {
        readSync(fd, content)
      } finally {
        closeSync(fd)
      }
    } catch (error) {
      if (isSystemError(error, 'ENOENT')) return undefined
      throw error
    }
    const sectors = [content.subarray(0, SECTOR), content.subarray(SECTOR)]
    return sectors.map(parseSector).reduce((a, b) => (a && b ? (a.changes > b.changes ? a : b) : (a ?? b)))
  }

  /** On disk when it returns, unless the disk is full: then the next commit writes it, and until then an older one stands, which refuses nothing. */
  write(contents: Contents): void {
    try {
      fdatasyncSync(this.#put(contents))
    } catch (error) {
      forgiveFull(error)
    }
  }

  /** As `write`, but that it is on disk only when this resolves. */
  async writeAside(contents: Contents): Promise<void> {
    try {
      await promisify(fdatasync)(this.#put(contents))
    } catch (error) {
      forgiveFull(error)
    }
  }

  #put(contents: Contents): number {
    this.#fd ??= openSync(this.#file, constants.O_WRONLY | constants.O_CREAT, 0o600)
    writeSync(this.#fd, formatSector(contents), 0, SECTOR, Number(contents.changes % 2n) * SECTOR)
    return this.#fd
  }

  close(): void {
    if (this.#fd !== undefined) closeSync(this.#fd)
    this.#fd = undefined
  }
}

/** The commit itself is on disk, and must not be taken for one that failed. Room may be missed at the flush alone. */
function forgiveFull(error: unknown): void {
  if (!isSystemError(error, 'ENOSPC', 'EDQUOT')) throw error
}

function formatSector(contents: Contents): Buffer {
  const text = formatContents(contents)
  return Buffer.alloc(SECTOR, `${text} ${checkOf(text)}\n`.padEnd(SECTOR, ' '))
}

function parseSector(sector: Buffer): Contents | undefined {
  const [text = '', check] = sector.toString('latin1').trim().split(' ')
  return check === checkOf(text) ? parseContents(text) : undefined
}

function checkOf(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 16)
}
