import { open, stat } from 'node:fs/promises'
import { basename, resolve } from 'node:path'
import { Readable } from 'node:stream'
import {
  type Account,
  type ClientTool,
  type ClientTools,
  CommandError,
  isSystemError,
  LAB_DATABASE,
  ProvisionError,
  run,
} from '@dblab/provision'
import { lastProblem } from '../tools/tool-messages.ts'
import { asAccount, runTool } from '../tools/tool-process.ts'
import { oldestRestoreMajor, readArchiveHeader } from './archive-header.ts'
import { ArchiveListingReader, type ForeignKey } from './archive-listing.ts'
import { checkInnerCompression, needPgRestore, needPsql } from './client-tool.ts'
import { dataStateAt, fromWallClock, parseStartedOn } from './data-time.ts'
import { dumpBytes } from './dump-bytes.ts'
import { checkScript } from './dump-check.ts'
import { type DumpFile, type DumpKind, notADump, readDumpFile } from './dump-kind.ts'
import { SqlFactFinder, type SqlFacts } from './sql-facts.ts'
import type { Compression } from './unpack.ts'

/** Everything that is to be known of a dump before it is restored. */
export interface DumpPlan {
  /** Absolute. */
  path: string
  kind: DumpKind
  /** Of the file as a whole, told by its contents and not by its name. The server unpacks it for the tool, and one job restores it. */
  compression: Compression | undefined
  /** Of the file; 0 for a directory. */
  sizeBytes: number
  modifiedAt: Date
  /** The program that restores it: psql for a plain dump, pg_restore for any other. */
  tool: ClientTool
  /** The account can read the file; otherwise the server hands it over, and it is restored by one job. */
  readable: boolean
  /** The database that it will be in. */
  database: string
  /** The script makes the database itself: `pg_dump --create`. */
  createsDatabase: boolean
  facts: SqlFacts
  /** Tables that bring data; undefined for a plain dump made of INSERTs. */
  tables: number | undefined
  /** What of an archive is restored, by the numbers of its table of contents; undefined for all. */
  restored: readonly number[] | undefined
  /** What is not, for people. */
  leftOut: readonly string[]
  serverVersion: string | undefined
  toolVersion: string | undefined
  dataStateAt: Date
}

export interface InspectOptions {
  tools: ClientTools
  /** The account that will run the tool. */
  account: Account
  signal?: AbortSignal | undefined
  /** Of an archive: they would not hold in what it brings. */
  foreignKeysLeftOut?: readonly ForeignKey[] | undefined
  /** How far the reading of a plain or compressed dump has come, in bytes of the file. */
  onProgress?: ((progress: { doneBytes: number; totalBytes: number }) => void) | undefined
}

/**
 * Reads a dump without restoring it: what kind it is, what it needs and what it brings. A plain dump is read whole, once, since its grants and the
 * mark of its end stand at the end; so is a compressed one, whose checksums and end are nowhere else.
 *
 * @throws ProvisionError NOT_FOUND; INVALID for what is no dump of one database, is cut short or can't be read; UNAVAILABLE for a missing or too
 * old client program; ABORTED. Each says what to do.
 */
export async function inspectDump(path: string, options: InspectOptions): Promise<DumpPlan> {
  const absolute = resolve(path)
  const file = await readDumpFile(absolute)
  const readable = await isReadable(absolute, file.kind, options.account)
  return file.kind === 'plain'
    ? inspectScript(absolute, file, readable, options)
    : inspectArchive(absolute, file, readable, options)
}

async function inspectScript(
  path: string,
  file: DumpFile,
  readable: boolean,
  options: InspectOptions,
): Promise<DumpPlan> {
  const finder = new SqlFactFinder()
  await readWhole(path, file, options, (piece) => pushFacts(path, finder, piece))
  const end = finder.end()
  const { facts } = finder
  checkScript(path, facts, end)
  const [created] = facts.createdDatabases
  return {
    ...common(path, file, readable, facts, parseStartedOn(facts.comments.startedOn ?? '')),
    tool: needPsql(options.tools, { path, restricted: facts.restricted }),
    database: created ?? [...facts.connections][0] ?? databaseNameFrom(path),
    createsDatabase: created !== undefined,
    tables: facts.copies === 0 ? undefined : facts.copies,
    restored: undefined,
    leftOut: [],
    serverVersion: facts.comments.serverVersion,
    toolVersion: facts.comments.toolVersion,
  }
}

async function readWhole(
  path: string,
  { compression, sizeBytes }: DumpFile,
  { signal, onProgress }: InspectOptions,
  onPiece?: (piece: Buffer) => void,
): Promise<void> {
  let doneBytes = 0
  const onRead = (byteCount: number): void => {
    doneBytes += byteCount
    onProgress?.({ doneBytes, totalBytes: sizeBytes })
  }
  for await (const piece of dumpBytes({ path, compression }, { signal, onRead })) onPiece?.(piece)
}

/** Thousands of roles take less than a hundredth of it; a small file may unpack to any number. */
const factsLimitBytes = 64 << 20

function pushFacts(path: string, finder: SqlFactFinder, piece: Buffer): void {
  finder.push(piece)
  if (finder.keptBytes <= factsLimitBytes) return
  throw new ProvisionError(
    'INVALID',
    `${path} names more roles, databases and settings than the lab can keep in mind`,
    {
      hint: 'Dump one database alone, with pg_dump.',
    },
  )
}

async function inspectArchive(
  path: string,
  file: DumpFile,
  readable: boolean,
  options: InspectOptions,
): Promise<DumpPlan> {
  const header = readArchiveHeader(file.head)
  if (!header) throw notADump(path, 'its header is damaged or cut short')
  const tool = needPgRestore(options.tools, {
    path,
    format: `${header.version.major}.${header.version.minor}`,
    minimumMajor: oldestRestoreMajor(header.version),
  })
  if (file.kind === 'directory' && !readable) throw unreadableDirectory(path)
  const reader = new ArchiveListingReader(options.foreignKeysLeftOut)
  await readArchive(path, file, tool, ['--list', '--verbose'], options, (chunk) => reader.push(chunk))
  const finder = new SqlFactFinder()
  // Without --file pg_restore would want a database; with it, it writes the script that it would run. That shows grants, which --list does not.
  await readArchive(path, file, tool, ['--create', '--schema-only', '--file=-'], options, (chunk) =>
    pushFacts(path, finder, chunk),
  )
  finder.end()
  if (file.compression !== undefined) await readWhole(path, file, options)
  return {
    ...common(path, file, readable, finder.facts, fromWallClock(header.createdAt)),
    tool,
    database: header.database === '' ? databaseNameFrom(path) : header.database,
    createsDatabase: false,
    ...reader.listing(),
    serverVersion: header.serverVersion,
    toolVersion: header.toolVersion,
  }
}

function common(path: string, file: DumpFile, readable: boolean, facts: SqlFacts, startedAt: Date | undefined) {
  const { kind, compression, sizeBytes, modifiedAt } = file
  return {
    path,
    kind,
    compression,
    sizeBytes,
    modifiedAt,
    readable,
    facts,
    dataStateAt: dataStateAt(startedAt, modifiedAt),
  }
}

/** Runs pg_restore on an archive without a database, as the unprivileged account: it parses a file that may come from anywhere. */
async function readArchive(
  path: string,
  file: DumpFile,
  tool: ClientTool,
  args: readonly string[],
  options: InspectOptions,
  onStdout: (chunk: Buffer) => void,
): Promise<void> {
  const problems: string[] = []
  const byName = file.kind === 'directory'
  await using handle = byName || file.compression !== undefined ? undefined : await open(path, 'r')
  const code = await runTool({
    argv: [tool.path, ...args, ...(byName ? [path] : [`--format=${file.kind}`])],
    account: options.account,
    ...(!byName && { stdin: handle ? handle.fd : Readable.from(tableOfContents(path, file, options)) }),
    onStdout,
    onStderrLine: (line) => problems.push(line),
    signal: options.signal,
  })
  checkInnerCompression(tool, path, problems)
  if (code === 0) return
  throw new ProvisionError('INVALID', `${path} can't be read by pg_restore: ${lastProblem(problems)}`, {
    hint: 'The file is damaged, cut short, or needs a newer pg_restore. Check that it was copied whole.',
  })
}

/**
 * pg_restore holds the table of contents in its memory, and a small file may unpack to any size; what is behind it, it does not read when it lists.
 * A table takes some 2 KB there.
 */
const tableOfContentsLimit = 1 << 30

async function* tableOfContents(
  path: string,
  { compression }: DumpFile,
  { signal }: InspectOptions,
): AsyncGenerator<Buffer, void> {
  let bytes = 0
  for await (const piece of dumpBytes({ path, compression }, { signal })) {
    bytes += piece.length
    if (bytes > tableOfContentsLimit) {
      throw new ProvisionError('INVALID', `the table of contents of ${path} unpacks to more than 1 GiB`, {
        hint: 'If that is right, unpack the file first.',
      })
    }
    yield piece
  }
}

/** Asks the account itself, so that groups and access lists count. */
async function isReadable(path: string, kind: DumpKind, account: Account): Promise<boolean> {
  try {
    await run(['test', '-r', kind === 'directory' ? `${path}/toc.dat` : path], {
      account: asAccount(account),
      cwd: '/',
    })
    return true
  } catch (error) {
    if (error instanceof CommandError && error.exitCode === 1) return false
    throw error
  }
}

function unreadableDirectory(path: string): ProvisionError {
  return new ProvisionError('INVALID', `the account that runs pg_restore can't read the directory ${path}`, {
    hint: 'Let every account read it and pass the directories above it, or move it below one that all can pass, such as /var/tmp.',
  })
}

/**
 * The file has not changed since it was inspected.
 *
 * @throws ProvisionError INVALID when it has
 */
export async function assertUnchanged(plan: DumpPlan): Promise<void> {
  const stats = await stat(plan.path).catch((error: unknown) => {
    if (!isSystemError(error, 'ENOENT')) throw error
  })
  const same =
    stats &&
    stats.mtime.getTime() === plan.modifiedAt.getTime() &&
    (plan.kind === 'directory' || stats.size === plan.sizeBytes)
  if (same) return
  throw new ProvisionError('INVALID', `the dump ${plan.path} has changed since it was inspected`, {
    hint: 'Wait until it is written, and start again.',
  })
}

/**
 * A database's name made from a file's: the part before the first dot, of letters, digits and `_`, no longer than the 63 bytes that Postgres keeps.
 */
export function databaseNameFrom(path: string): string {
  const stem = basename(path).replace(/^\.+/, '').split('.')[0] ?? ''
  const name = stem
    .normalize('NFKD')
    .replaceAll(/\p{M}/gu, '')
    .toLowerCase()
    .replaceAll(/[^a-z0-9_]+/g, '_')
    .replaceAll(/^_+|_+$/g, '')
    .slice(0, 63)
  const fit = /^[a-z_]/.test(name) ? name : `db_${name}`.replace(/_$/, '').slice(0, 63)
  return reservedDatabases.has(fit) ? `${fit}_dump` : fit
}

const reservedDatabases = new Set(['postgres', 'template0', 'template1', LAB_DATABASE])
