import { Socket } from 'node:net'
import { Client, DatabaseError } from 'pg'
import { isSystemError, ProvisionError } from '../errors.ts'
import { LAB_ROLE } from './names.ts'
import type { Instance } from './runtime.ts'
import { spaceError } from './space.ts'

/** Where the lab's own connections go. */
export type LabAddress = Pick<Instance, 'socketDir' | 'port'>

export interface LabConnectionOptions {
  /** For the whole of it, connection and work. 60 seconds by default; 0 is no bound. */
  timeoutMs?: number | undefined
  signal?: AbortSignal | undefined
  /**
   * True for work on the data's own behalf, such as filling or masking it: names are looked up and triggers fire as in any session. The
   * lab's housekeeping fires none, and finds nothing outside pg_catalog that it does not name in full.
   */
  dataSession?: boolean
  /** Does not wait until the server has ended the session too: for where the next thing done does not mind it. */
  leavesAtOnce?: boolean
  /** Of the server, where it is known: that saves a round trip. */
  major?: number | undefined
  /** Told once the server was asked for the session, which takes it many milliseconds: for what can be done meanwhile, and is not to delay it. */
  whenAsked?: (() => void) | undefined
  /** Become this role, as `SET ROLE` does. */
  role?: string
  /** What the lab comes as where the data has no role of its own: see `InstanceSpec.superuser`. */
  superuser?: string | undefined
}

const DEFAULT_TIMEOUT_MS = 60_000
const UNREACHABLE = ['ENOENT', 'ECONNREFUSED', 'ECONNRESET', 'EPIPE', 'EACCES', 'ENOTSOCK'] as const

/**
 * What the lab's sessions need whatever the data's own settings say, sent with the connection: settings of a database or a role do not
 * override them.
 */
const SESSION = {
  default_transaction_read_only: 'off',
  default_transaction_isolation: 'read committed',
  // Else a backslash in a text of the lab's statements would mean something.
  standard_conforming_strings: 'on',
  lock_timeout: '0',
  idle_in_transaction_session_timeout: '0',
  idle_session_timeout: '0',
  // A library that is not there would end the session as it begins.
  local_preload_libraries: '',
  session_preload_libraries: '',
  // Verifiers of passwords pass through: neither the log nor the extensions that note statements may see them.
  log_statement: 'none',
  log_min_error_statement: 'panic',
  log_min_duration_statement: '-1',
  log_min_duration_sample: '-1',
  log_duration: 'off',
  'pg_stat_statements.track': 'none',
  'pgaudit.log': 'none',
}

/**
 * Runs `work` on a connection over the socket, as the lab's superuser, and closes it.
 *
 * @throws ProvisionError UNAVAILABLE when the server does not answer, TIMEOUT, ABORTED, NO_SPACE, or FAILED in Postgres' own words
 * with its DatabaseError as `cause` (see `sqlState`). What `work` itself throws goes through as it is.
 */
export async function withLabConnection<T>(
  at: LabAddress,
  database: string,
  work: (client: Client) => Promise<T>,
  options: LabConnectionOptions = {},
): Promise<T> {
  const timeoutMs = options.timeoutMs ?? DEFAULT_TIMEOUT_MS
  const bounds = [
    ...(options.signal ? [options.signal] : []),
    ...(timeoutMs > 0 ? [AbortSignal.timeout(timeoutMs)] : []),
  ]
  const cut = AbortSignal.any(bounds)
  let session: LabSession | undefined
  try {
    const who = { user: options.superuser ?? LAB_ROLE, database }
    const settings = sessionSettings(options, timeoutMs)
    session = await openSession(at, who, { settings, major: options.major, whenAsked: options.whenAsked }, cut)
    return await work(session.client)
  } catch (error) {
    throw translate(error, options.signal, cut, timeoutMs)
  } finally {
    const closing = session?.close()
    if (options.leavesAtOnce) closing?.catch(() => undefined)
    else await closing
  }
}

/** A connection over the socket, as the lab's superuser, that stays until it is closed. */
export interface LabSession {
  client: Client
  /** Of the server. */
  major: number
  close(): Promise<void>
  /** Ends it at once, and what is under way in it fails. */
  cut(): void
}

/**
 * For work that comes later, and is not to wait for a connection then.
 *
 * @throws ProvisionError as `withLabConnection`
 */
export async function openLabSession(
  at: LabAddress,
  database: string,
  { timeoutMs = DEFAULT_TIMEOUT_MS, signal, major }: Pick<LabConnectionOptions, 'timeoutMs' | 'signal' | 'major'> = {},
): Promise<LabSession> {
  // Of the connecting alone.
  const cut = new AbortController()
  const onAbort = () => cut.abort(signal?.reason)
  const timer = setTimeout(() => cut.abort(new Error('it took too long')), timeoutMs)
  signal?.addEventListener('abort', onAbort)
  const settings = sessionSettings({}, timeoutMs)
  try {
    if (signal?.aborted) onAbort()
    return await openSession(at, { user: LAB_ROLE, database }, { settings, major }, cut.signal)
  } catch (error) {
    throw translate(error, signal, cut.signal, timeoutMs)
  } finally {
    clearTimeout(timer)
    signal?.removeEventListener('abort', onAbort)
  }
}

/** Work in a session that is open. @throws ProvisionError as `withLabConnection` */
export async function inLabSession<T>(session: LabSession, work: (client: Client) => Promise<T>): Promise<T> {
  try {
    return await work(session.client)
  } catch (error) {
    throw translate(error, undefined, NEVER, DEFAULT_TIMEOUT_MS)
  }
}

const NEVER = new AbortController().signal

/** Settings since this version are refused by older servers, and no version is known before the connection. */
const TRANSACTION_TIMEOUT_SINCE = 17

interface Connected extends LabSession {
  /** What it was lost by, while no statement was under way. */
  lost(): unknown
}

/**
 * A session that no transaction_timeout of the database ends. It is switched off once the server has said its version; should it be so
 * short that it strikes before, the server knows the setting, and can be given it with the connection.
 */
async function openSession(
  at: LabAddress,
  who: { user: string; database: string },
  {
    settings,
    major,
    whenAsked,
  }: Pick<LabConnectionOptions, 'major' | 'whenAsked'> & { settings: Record<string, string> },
  cut: AbortSignal,
): Promise<LabSession> {
  const unlimited = { ...settings, transaction_timeout: '0' }
  if (major !== undefined)
    return connect(at, who, major >= TRANSACTION_TIMEOUT_SINCE ? unlimited : settings, cut, whenAsked)
  let session: Connected | undefined
  try {
    session = await connect(at, who, settings, cut, whenAsked)
    if (session.major >= TRANSACTION_TIMEOUT_SINCE) await session.client.query('set transaction_timeout = 0')
    return session
  } catch (error) {
    // https://www.postgresql.org/docs/current/errcodes-appendix.html: transaction_timeout
    // Said in the answer to a statement, or between two.
    if (![error, session?.lost()].some((told) => sqlState(told) === '25P04')) throw error
    return connect(at, who, unlimited, cut)
  }
}

async function connect(
  at: LabAddress,
  { user, database }: { user: string; database: string },
  settings: Record<string, string>,
  cut: AbortSignal,
  whenAsked?: () => void,
): Promise<Connected> {
  if (cut.aborted) throw cut.reason
  const socket = new Socket()
  const client = new Client({
    host: at.socketDir,
    port: at.port,
    user,
    // It has none. Else whatever stands in the socket's place could ask for the one in the server's own PGPASSWORD or password file.
    password: () => {
      throw new ProvisionError(
        'FAILED',
        "what answers on the lab's socket asks for a password, which Postgres does not",
      )
    },
    database,
    ssl: false,
    application_name: 'dblab',
    options: startupOptions(settings),
    stream: () => socket,
  })
  // A lost connection fails the query that runs; between two queries it would be an event, and fails the next one.
  let lost: unknown
  client.on('error', (error) => {
    lost ??= error
  })
  let major = 0
  client.connection.on('parameterStatus', ({ parameterName, parameterValue }) => {
    if (parameterName === 'server_version') major = Number.parseInt(parameterValue, 10)
  })
  const onCut = () => socket.destroy(new Error('the connection was cut', { cause: cut.reason }))
  cut.addEventListener('abort', onCut)
  const close = async () => {
    // Still bounded: it waits for the server to close its end.
    if (!socket.destroyed) await client.end()
    cut.removeEventListener('abort', onCut)
  }
  try {
    const connected = client.connect()
    // Behind the client's own, which asks.
    if (whenAsked) socket.once('connect', whenAsked)
    await connected
    const cutOff = () => void socket.destroy(new Error('the session was cut'))
    return { client, major, close, lost: () => lost, cut: cutOff }
  } catch (error) {
    await close()
    throw sqlState(lost) === undefined ? error : lost
  }
}

/** The SQLSTATE that the server gave for a failure, if it was the server's. */
export function sqlState(error: unknown): string | undefined {
  if (error instanceof DatabaseError) return error.code
  return error instanceof ProvisionError && error.cause instanceof DatabaseError ? error.cause.code : undefined
}

/** Keeps the lab's superuser from calling what a user has put before a built-in function, or has made a trigger of. */
const HOUSEKEEPING = { search_path: 'pg_catalog', session_replication_role: 'replica' }

function sessionSettings({ dataSession, role }: LabConnectionOptions, timeoutMs: number): Record<string, string> {
  return {
    ...SESSION,
    statement_timeout: String(timeoutMs),
    ...(dataSession !== true && HOUSEKEEPING),
    // Else a database could have one of its own.
    role: role ?? 'none',
  }
}

function startupOptions(settings: Record<string, string>): string {
  // Blanks and backslashes are escaped by a backslash (PostgreSQL manual, "Frontend/Backend Protocol", StartupMessage).
  return Object.entries(settings)
    .map(([name, value]) => `-c ${name}=${value.replace(/[\s\\]/g, '\\$&')}`)
    .join(' ')
}

function translate(error: unknown, signal: AbortSignal | undefined, cut: AbortSignal, timeoutMs: number): unknown {
  if (signal?.aborted)
    return new ProvisionError('ABORTED', 'work in the database was stopped on request', { cause: error })
  if (cut.aborted) {
    return new ProvisionError('TIMEOUT', `the database did not answer in ${timeoutMs} ms`, { cause: error })
  }
  if (error instanceof DatabaseError) {
    // https://www.postgresql.org/docs/current/errcodes-appendix.html: disk_full
    const code = error.code === '53100' ? 'NO_SPACE' : 'FAILED'
    // A used up quota has no state of its own.
    const noSpace = spaceError([error.message], error)
    return noSpace ?? new ProvisionError(code, `the database refused: ${error.message}`, { cause: error })
  }
  // The second is what the next query meets where the connection was lost between two.
  const lost = error instanceof Error && /^(Connection terminated|Client has encountered)/.test(error.message)
  if (lost || isSystemError(error, ...UNREACHABLE)) {
    return new ProvisionError('UNAVAILABLE', 'the database does not answer on its socket', { cause: error })
  }
  return error
}
