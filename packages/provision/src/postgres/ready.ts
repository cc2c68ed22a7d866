import { connect, Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { Client, DatabaseError } from 'pg'
import { isSystemError, ProvisionError } from '../errors.ts'

export interface LoginTarget {
  host: string
  port: number
  database: string
  username: string
  /** Known at creation only. Without it the proof ends where the server asks for it, with its challenge. */
  password?: string | undefined
  /** What the server is to have of that password. */
  verifier?: string | undefined
  /** The server refuses connections without TLS. */
  tls?: boolean | undefined
}

export interface ProbeOptions {
  /** 60 seconds by default, as for every connection of the lab's own. */
  timeoutMs?: number | undefined
  signal?: AbortSignal | undefined
  /** For the first try: see `knock`. */
  knocked?: Socket | undefined
}

const DEFAULT_TIMEOUT_MS = 60_000
/** A server that was ready on its socket answers over TCP too, so more than the first try is rarely needed. */
const RETRY_AFTER_MS = [10, 25, 50, 100, 200] as const
const NOT_YET_ERRORS = ['ECONNREFUSED', 'ECONNRESET', 'EPIPE'] as const
/** https://www.postgresql.org/docs/current/errcodes-appendix.html: cannot_connect_now, too_many_connections */
const NOT_YET_STATES = ['57P03', '53300']

/**
 * Opens a connection that nothing is said in yet. The server makes a process for it, which then is there once there is something to say. To be
 * destroyed by who called.
 */
export function knock({ host, port }: Pick<LoginTarget, 'host' | 'port'>): Socket {
  const socket = connect(port, host)
  // Whoever logs in over it is told.
  return socket.on('error', () => undefined)
}

/**
 * Proves that a clone's user can log in over TCP: with the password by a login; without it by the server's SCRAM challenge, which it sends
 * only to those that its rules let in, with the salt of the verifier that it has for that user (RFC 5802, section 5). That takes a quarter of
 * the time, and shows no more than the port, the rules and the verifier.
 *
 * @throws ProvisionError FAILED when the server refuses the user, TIMEOUT, ABORTED
 */
export async function probeLogin(target: LoginTarget, options: ProbeOptions = {}): Promise<void> {
  const timeoutMs = options.timeoutMs ?? DEFAULT_TIMEOUT_MS
  const deadline = AbortSignal.timeout(timeoutMs)
  const cut = options.signal ? AbortSignal.any([options.signal, deadline]) : deadline
  for (let tries = 0; ; tries++) {
    try {
      cut.throwIfAborted()
      const knocked = tries === 0 && !options.knocked?.destroyed ? options.knocked : undefined
      return await logIn(target, { socket: knocked ? asUnopened(knocked) : new Socket(), timeoutMs, cut })
    } catch (error) {
      if (options.signal?.aborted)
        throw new ProvisionError('ABORTED', 'the test of the login was stopped on request', { cause: error })
      if (cut.aborted) {
        throw new ProvisionError('TIMEOUT', `no login over TCP in ${timeoutMs} ms`, {
          cause: error,
          hint: `Check that connections to ${target.host} port ${target.port} are possible on this machine, and its load.`,
        })
      }
      if (!mayPass(error) || tries >= RETRY_AFTER_MS.length) throw refused(error, target)
    }
    await sleep(RETRY_AFTER_MS[tries] ?? 0)
  }
}

async function logIn(
  target: LoginTarget,
  { socket, timeoutMs, cut }: { socket: Socket; timeoutMs: number; cut: AbortSignal },
): Promise<void> {
  const { host, port, database, username, password, tls } = target
  const client = new Client({
    host,
    port,
    database,
    user: username,
    // Without one, nothing is made of it: what it would be for comes after the challenge.
    password: password ?? 'none',
    // It is the way in that is proved here, not whose certificate it is: this is the machine's own server.
    ssl: tls ? { rejectUnauthorized: false } : false,
    application_name: 'dblab',
    // Something, or the caller's PGOPTIONS would be taken.
    options: `-c statement_timeout=${timeoutMs}`,
    stream: () => socket,
  })
  client.on('error', () => undefined)
  const onCut = () => socket.destroy(new Error('the connection was cut', { cause: cut.reason }))
  cut.addEventListener('abort', onCut)
  try {
    const connected = client.connect()
    if (password !== undefined) await connected
    else requireSalt(await challengeOf(client, connected, target), target)
    // The server's end of it is its own to close, and nobody's to wait for.
    if (password !== undefined) client.end().catch(() => undefined)
  } finally {
    cut.removeEventListener('abort', onCut)
    socket.destroy()
  }
}

/**
 * The server's first message of SCRAM, in place of which the client would answer it.
 *
 * @param connected of a connection that was just begun
 */
async function challengeOf(client: Client, connected: Promise<unknown>, { username }: LoginTarget): Promise<string> {
  const { promise: challenge, resolve } = Promise.withResolvers<string>()
  client.connection.removeAllListeners('authenticationSASLContinue')
  client.connection.once('authenticationSASLContinue', ({ data }) => resolve(data))
  const letIn = connected.then(() => {
    throw new ProvisionError('FAILED', `${username} was let in without a password`)
  })
  // It fails when the socket is destroyed, once nobody waits for it.
  letIn.catch(() => undefined)
  return Promise.race([challenge, letIn])
}

/** For a role that it does not know, the server makes a salt up (auth-scram.c, mock_scram_secret). */
function requireSalt(challenge: string, { username, verifier }: LoginTarget): void {
  if (verifier === undefined) return
  const [, iterations, salt] = /^SCRAM-SHA-256\$(\d+):([^$]+)\$/.exec(verifier) ?? []
  if (challenge.endsWith(`,s=${salt},i=${iterations}`)) return
  throw new ProvisionError('FAILED', `the server does not have the password of ${username} as it was given`)
}

/** For a client that opens what it is given: it is told that this one is open, once it is. */
function asUnopened(socket: Socket): Socket {
  return Object.assign(socket, {
    connect: () => {
      if (!socket.connecting) process.nextTick(() => socket.emit('connect'))
      return socket
    },
  })
}

function mayPass(error: unknown): boolean {
  if (error instanceof DatabaseError) return error.code !== undefined && NOT_YET_STATES.includes(error.code)
  return isSystemError(error, ...NOT_YET_ERRORS)
}

function refused(error: unknown, { host, port }: LoginTarget): unknown {
  if (error instanceof DatabaseError) {
    return new ProvisionError('FAILED', `the database does not let its user in: ${error.message}`, { cause: error })
  }
  if (isSystemError(error, ...NOT_YET_ERRORS)) {
    return new ProvisionError('FAILED', `nothing answers at ${host} port ${port}`, { cause: error })
  }
  return error
}
