import { stat } from 'node:fs/promises'
import { isProvisionError, isSystemError, ProvisionError } from '@dblab/provision'
import { archiveHeaderBytes, archiveMagic } from './archive-header.ts'
import { dumpBytes } from './dump-bytes.ts'
import { isTar, tarBlockBytes, tarHead } from './tar-dump.ts'
import { type Compression, compressionOf } from './unpack.ts'

export type DumpKind = 'plain' | 'custom' | 'directory' | 'tar'

export interface DumpFile {
  kind: DumpKind
  /** Of the file as a whole, not of the data in an archive. */
  compression: Compression | undefined
  /** Of the file; 0 for a directory. */
  sizeBytes: number
  modifiedAt: Date
  /** Where an archive's header is expected: its first bytes, or for a tar those of its first member. Empty for a plain dump. */
  head: Buffer
}

/** What the lab does not unpack itself. */
const foreignCompressions: readonly (readonly [name: string, tool: string, magic: readonly number[]])[] = [
  ['LZ4', 'unlz4', [0x04, 0x22, 0x4d, 0x18]],
  ['xz', 'unxz', [0xfd, 0x37, 0x7a, 0x58, 0x5a]],
  ['bzip2', 'bunzip2', [0x42, 0x5a, 0x68]],
  ['ZIP', 'unzip', [0x50, 0x4b, 0x03, 0x04]],
]

/**
 * Tells what kind of dump lies at a path, from its first bytes alone, and of those that are unpacked from them.
 *
 * @throws ProvisionError NOT_FOUND; INVALID for what can't be a dump that the lab restores, with what to do about it
 */
export async function readDumpFile(path: string): Promise<DumpFile> {
  const stats = await stat(path).catch((error: unknown) => {
    throw accessError(path, error)
  })
  if (stats.isDirectory()) return readDirectory(path, stats.mtime)
  if (!stats.isFile()) throw new ProvisionError('INVALID', `${path} is neither a file nor a directory`)
  const first = await readStart({ path, compression: undefined })
  const compression = compressionOf(first)
  const start = compression === undefined ? first : await readStart({ path, compression })
  if (start.length === 0) {
    throw new ProvisionError('INVALID', `the dump ${path} is empty`, { hint: 'Make the dump again.' })
  }
  return { ...kindOf(path, start, compression), compression, sizeBytes: stats.size, modifiedAt: stats.mtime }
}

function kindOf(path: string, start: Buffer, compression: Compression | undefined): Pick<DumpFile, 'kind' | 'head'> {
  if (isArchive(start)) return { kind: 'custom', head: start }
  if (isTar(start)) return { kind: 'tar', head: tarHead(path, start) }
  refuseCompressed(path, start, compression)
  refuseForeign(path, start)
  return { kind: 'plain', head: Buffer.alloc(0) }
}

function isArchive(start: Buffer): boolean {
  return start.subarray(0, archiveMagic.length).equals(archiveMagic)
}

async function readDirectory(path: string, modifiedAt: Date): Promise<DumpFile> {
  try {
    const head = await readStart({ path: `${path}/toc.dat`, compression: undefined })
    if (isArchive(head)) return { kind: 'directory', compression: undefined, sizeBytes: 0, modifiedAt, head }
  } catch (error) {
    if (!isProvisionError(error, 'NOT_FOUND')) throw error
  }
  throw new ProvisionError('INVALID', `the directory ${path} is not a dump: it holds no table of contents (toc.dat)`, {
    hint: 'Name the directory that pg_dump --format=directory made. A compressed one (toc.dat.gz) is to be unpacked first.',
  })
}

function refuseCompressed(path: string, start: Buffer, outer: Compression | undefined): void {
  const inner = compressionOf(start)
  if (outer !== undefined && inner !== undefined) {
    throw new ProvisionError('INVALID', `${path} is compressed twice: ${inner} in ${outer}`, {
      hint: `Unpack it once first, with ${outer} -d.`,
    })
  }
  const foreign = foreignCompressions.find(([, , magic]) => magic.every((byte, index) => start[index] === byte))
  if (!foreign) return
  const [name, tool] = foreign
  throw new ProvisionError('INVALID', `${path} is compressed (${name}), which the lab does not unpack itself`, {
    hint: `Unpack it first with ${tool}, or compress it with gzip or zstd instead.`,
  })
}

function refuseForeign(path: string, start: Buffer): void {
  const mark = start.length < 2 ? 0 : start.readUInt16BE(0)
  if (mark === 0xfffe || mark === 0xfeff) {
    throw new ProvisionError('INVALID', `${path} is text in UTF-16, which psql can't read`, {
      hint: 'PowerShell writes that for ">". Let pg_dump write the file itself: pg_dump --file=NAME.',
    })
  }
  if (start.includes(0)) throw notADump(path, 'it holds bytes that no script does')
  const foreign = /^(?:--|\/\*).*?\b(MySQL|MariaDB)\b|^(SQLite) format|^(PRAGMA) foreign_keys/m.exec(
    start.toString('latin1'),
  )
  if (foreign) throw notADump(path, `it comes from ${foreign[1] ?? 'SQLite'}`)
}

/** The refusal of a file that is nothing that pg_dump writes. */
export function notADump(path: string, why: string): ProvisionError {
  return new ProvisionError('INVALID', `${path} is not a PostgreSQL dump: ${why}`, {
    hint: 'Make one with pg_dump, in its plain, custom, directory or tar format.',
  })
}

async function readStart(file: { path: string; compression: Compression | undefined }): Promise<Buffer> {
  const wantedBytes = archiveHeaderBytes + tarBlockBytes
  const pieces: Buffer[] = []
  let bytes = 0
  try {
    for await (const piece of dumpBytes(file)) {
      pieces.push(piece)
      bytes += piece.length
      if (bytes >= wantedBytes) break
    }
  } catch (error) {
    throw accessError(file.path, error)
  }
  return Buffer.concat(pieces).subarray(0, wantedBytes)
}

function accessError(path: string, cause: unknown): unknown {
  if (isSystemError(cause, 'ENOENT', 'ENOTDIR')) {
    return new ProvisionError('NOT_FOUND', `there is no dump at ${path}`, {
      cause,
      hint: 'Check the path; it is one on the machine of the server.',
    })
  }
  if (isSystemError(cause, 'EACCES', 'EPERM')) {
    return new ProvisionError('INVALID', `the server may not read ${path}`, {
      cause,
      hint: 'Let the account that the server runs as read the file and pass the directories above it.',
    })
  }
  return cause
}
