/**
 * The fixed beginning of an archive by pg_dump: of a custom dump itself, of `toc.dat` in a directory or tar dump. The layout is that of `ReadHead`
 * in PostgreSQL's src/bin/pg_dump/pg_backup_archiver.c.
 */
export interface ArchiveHeader {
  /** Of the archive format, such as 1.14. It rises when an older pg_restore couldn't read what is new. */
  version: { major: number; minor: number }
  /** When pg_dump began, as the wall clock showed it there: the archive names no time zone. */
  createdAt: WallClock | undefined
  /** Empty where the format is one whose header can't be read. */
  database: string
  /** Version of the server that was dumped, such as `15.2 (Debian …)`. */
  serverVersion: string | undefined
  /** Version of pg_dump. */
  toolVersion: string | undefined
}

export interface WallClock {
  year: number
  /** 1 to 12. */
  month: number
  day: number
  hour: number
  minute: number
  second: number
}

/** More than any header takes: a database's name is up to 63 bytes, versions are short. */
export const archiveHeaderBytes = 4096

export const archiveMagic = Buffer.from('PGDMP')

/**
 * The first version of pg_restore that reads an archive format, from the `K_VERS_…` constants of pg_backup_archiver.h and the release that
 * brought each: 1.14 came with 12, 1.15 with 16, 1.16 with 17. Older formats are read by every version still in use. A format that is not known
 * here is newer than 18.
 */
export function oldestRestoreMajor(version: ArchiveHeader['version']): number {
  if (version.major > 1 || version.minor > 16) return 19
  if (version.minor === 16) return 17
  return version.minor === 15 ? 16 : 12
}

/** The header; undefined where the bytes hold none, or one that is cut short. */
export function readArchiveHeader(bytes: Buffer): ArchiveHeader | undefined {
  if (!bytes.subarray(0, archiveMagic.length).equals(archiveMagic) || bytes.length < 16) return undefined
  const version = { major: bytes[5] ?? 0, minor: bytes[6] ?? 0 }
  const reader = new HeaderReader(bytes, bytes[8] ?? 4)
  // Magic, version (3), size of an integer, size of an offset, format.
  reader.skip(11)
  // Formats before 1.10 (PostgreSQL 8.0) have no versions in them, and later ones than we know may be laid out in any way.
  if (version.major !== 1 || version.minor < 10 || version.minor > 16) return headerOf(version)
  if (version.minor >= 15) reader.skip(1)
  else reader.integer()
  const [second, minute, hour, day, month, year] = [0, 1, 2, 3, 4, 5].map(() => reader.integer())
  reader.integer()
  const [database, serverVersion, toolVersion] = [reader.text(), reader.text(), reader.text()]
  if (reader.overrun || database === undefined) return undefined
  const createdAt = {
    year: (year ?? 0) + 1900,
    month: (month ?? 0) + 1,
    day: day ?? 1,
    hour: hour ?? 0,
    minute: minute ?? 0,
    second: second ?? 0,
  }
  return { version, createdAt, database, serverVersion, toolVersion }
}

function headerOf(version: ArchiveHeader['version']): ArchiveHeader {
  return { version, createdAt: undefined, database: '', serverVersion: undefined, toolVersion: undefined }
}

/** Integers are a sign byte and then their size in bytes, lowest first; texts are a length and their bytes, with -1 for none. */
class HeaderReader {
  readonly #bytes: Buffer
  readonly #integerBytes: number
  #position = 0
  overrun = false

  constructor(bytes: Buffer, integerBytes: number) {
    this.#bytes = bytes
    this.#integerBytes = Math.min(Math.max(integerBytes, 1), 6)
  }

  skip(count: number): void {
    this.#position += count
    if (this.#position > this.#bytes.length) this.overrun = true
  }

  integer(): number {
    const from = this.#position
    this.skip(1 + this.#integerBytes)
    if (this.overrun) return 0
    const value = this.#bytes.readUIntLE(from + 1, this.#integerBytes)
    return this.#bytes[from] === 1 ? -value : value
  }

  text(): string | undefined {
    const length = this.integer()
    if (this.overrun || length < 0) return undefined
    const from = this.#position
    this.skip(length)
    return this.overrun ? undefined : this.#bytes.toString('utf8', from, from + length)
  }
}
