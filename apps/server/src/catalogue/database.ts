import { closeSync, openSync, readSync } from 'node:fs'
import { DatabaseSync } from 'node:sqlite'
import { isSystemError } from '@dblab/provision'
import { MIGRATIONS, SCHEMA, SCHEMA_VERSION } from './schema.ts'
import { type Contents, NOTHING, Seal } from './seal.ts'
import { SealedDatabase } from './sealed-database.ts'

/** Why a catalogue can't be trusted: it is missing though the lab has one, torn, foreign, or from a newer server. */
export class CatalogueLostError extends Error {
  override readonly name = 'CatalogueLostError'
  /** True for a file without any content: what a first start leaves that was cut off while it made the catalogue. */
  readonly empty: boolean
  /** True for one that is sound, as far as can be told, and that a newer server can read. */
  readonly newer: boolean

  constructor(message: string, options: ErrorOptions & { empty?: boolean; newer?: boolean } = {}) {
    super(message, options)
    this.empty = options.empty ?? false
    this.newer = options.newer ?? false
  }
}

/** Opens a database with durable commits (WAL, `synchronous=FULL`). */
function open(file: string): SealedDatabase {
  const db = new SealedDatabase(file, new Seal(sealFile(file)))
  db.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL')
  return db
}

/** Beside the catalogue. */
export function sealFile(file: string): string {
  return `${file}-seal`
}

export interface CreateOptions {
  /** How many starts the lab has seen. */
  epoch?: number
  /** Of a catalogue before this one, which it is to be newer than. */
  after?: Contents | undefined
}

/** Makes the catalogue of a new lab. */
export function createDatabase(
  file: string,
  labId: string,
  { epoch = 0, after = NOTHING }: CreateOptions = {},
): DatabaseSync {
  // SQLite gives the files beside it (-wal, -shm) the same mode.
  closeSync(openSync(file, 'wx', 0o600))
  const db = open(file)
  makeSchema(db, labId, epoch)
  db.watch(after)
  return db
}

/** One in memory, that is forgotten. */
export function createInMemory(labId: string): DatabaseSync {
  const db = new DatabaseSync(':memory:', { enableForeignKeyConstraints: true })
  makeSchema(db, labId, 0)
  return db
}

function makeSchema(db: DatabaseSync, labId: string, epoch: number): void {
  db.exec(`BEGIN; ${SCHEMA}`)
  db.prepare("INSERT INTO meta (key, value) VALUES ('lab_id', ?), ('epoch', ?)").run(labId, String(epoch))
  db.exec(`PRAGMA user_version = ${SCHEMA_VERSION}; COMMIT`)
}

/**
 * Opens the catalogue of a lab that has one, and checks that it is whole, this lab's, and not an older copy.
 *
 * @param epoch how many starts the lab has seen
 * @throws CatalogueLostError
 */
export function openDatabase(file: string, labId: string, epoch: number): DatabaseSync {
  requireHeader(file)
  let db: SealedDatabase | undefined
  try {
    db = open(file)
    const [check] = db.prepare('PRAGMA integrity_check(1)').all()
    if (check?.integrity_check !== 'ok')
      throw new CatalogueLostError(`it is damaged: ${String(check?.integrity_check)}`)
    const version = Number(db.prepare('PRAGMA user_version').get()?.user_version)
    if (version === 0) throw new CatalogueLostError('it is empty', { empty: true })
    if (version > SCHEMA_VERSION) {
      const message = `a newer server wrote it (schema ${version}, this server knows ${SCHEMA_VERSION})`
      throw new CatalogueLostError(message, { newer: true })
    }
    const owner = db.prepare("SELECT value FROM meta WHERE key = 'lab_id'").get()?.value
    if (owner !== labId) throw new CatalogueLostError('it belongs to another lab')
    const found = Number(db.prepare("SELECT value FROM meta WHERE key = 'epoch'").get()?.value)
    if (found < epoch) {
      throw new CatalogueLostError(`it is an older copy: of start ${found} of the lab, which has seen start ${epoch}`)
    }
    const damage = db.findDamage()
    if (damage !== undefined) throw new CatalogueLostError(damage)
    migrate(db, version)
    db.watch()
    return db
  } catch (error) {
    db?.close()
    if (error instanceof CatalogueLostError) throw error
    if (isSqliteError(error)) throw new CatalogueLostError(`it can't be read: ${error.message}`, { cause: error })
    throw error
  }
}

function migrate(db: DatabaseSync, from: number): void {
  // A table that others refer to can be made anew only without: https://www.sqlite.org/foreignkeys.html#fk_schemacommands
  db.exec('PRAGMA foreign_keys = OFF')
  for (let version = from; version < SCHEMA_VERSION; version++) {
    db.exec(`BEGIN IMMEDIATE; ${MIGRATIONS[version]}; PRAGMA user_version = ${version + 1}; COMMIT`)
  }
  db.exec('PRAGMA foreign_keys = ON')
}

function isSqliteError(error: unknown): error is Error {
  return error instanceof Error && 'code' in error && error.code === 'ERR_SQLITE_ERROR'
}

/** SQLite makes a new database of an absent or empty file, so what is lost must be seen before it is opened. */
function requireHeader(file: string): void {
  const magic = Buffer.alloc(16)
  try {
    const fd = openSync(file, 'r')
    try {
      readSync(fd, magic)
    } finally {
      closeSync(fd)
    }
  } catch (error) {
    if (isSystemError(error, 'ENOENT')) throw new CatalogueLostError('it is missing', { cause: error, empty: true })
    throw error
  }
  // https://www.sqlite.org/fileformat.html#the_database_header
  if (magic.toString('latin1') !== 'SQLite format 3\0') {
    const empty = magic.every((byte) => byte === 0)
    throw new CatalogueLostError(empty ? 'it is empty' : 'it is no SQLite database', { empty })
  }
}
