import { chmodSync, chownSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { readdir, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { isSystemError, ProvisionError } from '../../errors.ts'
import { failPoint } from '../../faults/faults.ts'
import { exists } from '../../files.ts'
import type { Account, InstanceId } from '../runtime.ts'
import type { Sentinel } from './postmaster-file.ts'
import type { ProcessIdentity } from './processes.ts'

/** What is kept of an instance, written before its server is started, so that none ever runs unknown. */
export interface InstanceRecord {
  version: 1
  id: InstanceId
  dataDir: string
  port: number
  socketDir: string
}

/** Which process it became. A crash may come between the start and this; then the server is found by its directory. */
export interface ProcessRecord extends ProcessIdentity {
  /** Paths of the shared memory that it made as it started. */
  sharedMemory: string[]
  /** Noted with them: the file that tells of it lies where the servers' account can change it. */
  sentinel?: Sentinel | undefined
  /** It is being killed, and may stand still until whoever comes next goes on with that. */
  isEnding?: boolean
}

const RECORD = 'record.json'
const PROCESS = 'process.json'

type ServerFile = 'hba.conf' | 'ident.conf' | 'postgresql.conf' | 'server.crt' | 'server.key' | 'passfile'

/**
 * The directory of one instance: its record, its access rules, its certificate and its log. The account of the servers reads it, and cannot write.
 *
 * What is written for each start is written at once, and the records are read so, in a fifth of the time that it takes by turns of threads. They
 * lie where the lab has its books, and not in the pool, which may hang.
 */
export class InstanceDirectory {
  readonly id: InstanceId
  readonly path: string

  /** @throws ProvisionError INVALID for an id that is no plain file name */
  constructor(parent: string, id: InstanceId) {
    if (!isInstanceId(id))
      throw new ProvisionError('INVALID', 'an instance id is letters, digits, dots, dashes and underscores')
    this.id = id
    this.path = join(parent, id)
  }

  file(name: ServerFile | 'postgres.log'): string {
    return join(this.path, name)
  }

  make(account: Account): void {
    mkdirSync(this.path, { recursive: true, mode: 0o750 })
    // Not the umask's business.
    chmodSync(this.path, 0o750)
    if (isRoot()) chownSync(this.path, 0, account.gid)
  }

  /** A file that the server reads. */
  writeForServer(name: ServerFile, text: string, account: Account): void {
    const path = this.file(name)
    // Postgres takes a key of its own that nobody else may read (be-secure-common.c), and libpq such a password file (fe-connect.c): others
    // may be in the account's group.
    const isSecret = name === 'server.key' || name === 'passfile'
    const mode = isSecret ? 0o600 : 0o640
    writeFileSync(path, text, { mode })
    chmodSync(path, mode)
    if (isRoot()) chownSync(path, isSecret ? account.uid : 0, account.gid)
  }

  /** In the file that the server was started with, which is whose it must be already. It reads them when it is told to. */
  async rewriteRules(text: string): Promise<void> {
    await writeFile(this.file('hba.conf'), text)
  }

  /** True for one that takes connections over TLS alone. */
  async hasCertificate(): Promise<boolean> {
    return exists(this.file('server.crt'))
  }

  removeCertificate(): void {
    rmSync(this.file('server.key'), { force: true })
    rmSync(this.file('server.crt'), { force: true })
  }

  /** A standby that does not run needs it no more: each start brings it. */
  async removePassfile(): Promise<void> {
    await rm(this.file('passfile'), { force: true })
  }

  /** Replaces the record, whole or not at all. What was known of an earlier process is forgotten first. */
  writeRecord(record: InstanceRecord): void {
    rmSync(join(this.path, PROCESS), { force: true })
    this.#replace(RECORD, record)
  }

  /** Undefined when there is none yet, or a crash left no more than the directory. */
  readRecord(): InstanceRecord | undefined {
    const record = readJson(join(this.path, RECORD))
    return isInstanceRecord(record) && record.id === this.id ? record : undefined
  }

  writeProcess(process: ProcessRecord): void {
    this.#replace(PROCESS, process)
  }

  readProcess(): ProcessRecord | undefined {
    const record = readJson(join(this.path, PROCESS))
    return isProcessRecord(record) ? record : undefined
  }

  /**
   * Not worth a sync: no process outlives the crash of the machine that would lose what is written here, and one that is empty after it
   * counts for none.
   */
  #replace(name: typeof RECORD | typeof PROCESS, content: InstanceRecord | ProcessRecord): void {
    const temporary = join(this.path, `${name}.new`)
    writeFileSync(temporary, JSON.stringify(content), { mode: 0o600 })
    renameSync(temporary, join(this.path, name))
  }

  /** True without a record: a start was cut off before it, or a removal after it. An empty one is what a power cut leaves of one. */
  async isRemnant(): Promise<boolean> {
    try {
      return (await stat(join(this.path, RECORD))).size === 0
    } catch (error) {
      if (isSystemError(error, 'ENOENT')) return true
      throw error
    }
  }

  /** With all that is in it. Absent already is fine. */
  async remove(): Promise<void> {
    // The record goes first: a directory without one counts for nothing, and goes with the next list, if the rest is cut off.
    await rm(join(this.path, RECORD), { force: true })
    await failPoint('postgres.record-removed')
    await rm(this.path, { recursive: true, force: true })
  }
}

/** Every directory whose name can be an instance's, with a readable record or without. */
export async function instanceDirectories(parent: string): Promise<InstanceDirectory[]> {
  try {
    const names = await readdir(parent)
    return names.filter(isInstanceId).map((name) => new InstanceDirectory(parent, name))
  } catch (error) {
    if (isSystemError(error, 'ENOENT')) return []
    throw error
  }
}

function isInstanceId(id: string): boolean {
  return /^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/.test(id)
}

function isRoot(): boolean {
  return process.getuid?.() === 0
}

/** Undefined for no file, and for one that a crash cut short. */
function readJson(path: string): unknown {
  try {
    return JSON.parse(readFileSync(path, 'utf8'))
  } catch (error) {
    if (error instanceof SyntaxError || isSystemError(error, 'ENOENT', 'ENOTDIR')) return undefined
    throw error
  }
}

function isInstanceRecord(value: unknown): value is InstanceRecord {
  return (
    hasFields(value, { version: 'number', id: 'string', dataDir: 'string', port: 'number', socketDir: 'string' }) &&
    value.version === 1
  )
}

function isProcessRecord(value: unknown): value is ProcessRecord {
  return (
    hasFields(value, { pid: 'number', startedAt: 'string' }) &&
    Array.isArray(value.sharedMemory) &&
    (value.sentinel === undefined || hasFields(value.sentinel, { key: 'number', id: 'number' }))
  )
}

function hasFields(value: unknown, types: Record<string, 'string' | 'number'>): value is Record<string, unknown> {
  if (typeof value !== 'object' || value === null) return false
  const fields = new Map<string, unknown>(Object.entries(value))
  return Object.entries(types).every(([name, type]) => typeof fields.get(name) === type)
}
