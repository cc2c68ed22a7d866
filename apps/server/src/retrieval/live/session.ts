import { readFile } from 'node:fs/promises'
import type { ConnectionOptions } from 'node:tls'
import { isProvisionError, isSystemError, ProvisionError } from '@dblab/provision'
import { type Client, DatabaseError, escapeIdentifier } from 'pg'
import { InterruptedError } from '../interrupted.ts'
import { describeAddress, type SourceAddress } from './address.ts'
import { isUnanswered, SourceClient } from './source-client.ts'

/** An address, and what opens it. */
export interface SourceLogin {
  address: SourceAddress
  /** Read anew for each run, since passwords are changed; undefined where the source asks for none. */
  password: () => Promise<string | undefined>
}

const CONNECT_TIMEOUT_MS = 15_000
/** The lab's own statements take a fraction of it. */
const STATEMENT_TIMEOUT_MS = 45_000

/**
 * Lets the source's server notice within a minute that the lab is gone, though nothing tells it so: else it would hold a snapshot for a lab that
 * is cut off, for as long as its system takes two hours to ask. https://www.postgresql.org/docs/current/runtime-config-connection.html
 */
export const SOURCE_SETTINGS = {
  tcp_keepalives_idle: '15',
  tcp_keepalives_interval: '5',
  tcp_keepalives_count: '3',
  tcp_user_timeout: '30000',
  statement_timeout: '0',
  lock_timeout: '60000',
} as const

/** As libpq's `options`. */
export function sourceOptions(more: Partial<Record<keyof typeof SOURCE_SETTINGS, string>> = {}): string {
  return Object.entries({ ...SOURCE_SETTINGS, ...more })
    .map(([name, value]) => `-c ${name}=${value}`)
    .join(' ')
}

/**
 * A connection to a source.
 *
 * @throws ProvisionError INVALID for what its administrator must change; InterruptedError where it does not answer
 */
export async function connectSource(
  { address, password }: SourceLogin,
  database: string,
  { replication = false, statementTimeoutMs = STATEMENT_TIMEOUT_MS } = {},
): Promise<SourceClient> {
  const secret = await password()
  for (const ssl of await tlsChoices(address)) {
    const client = new SourceClient(
      {
        ...{ host: address.host, port: address.port, user: address.user, database, ssl },
        // Never the one of the server's own environment or password file.
        password: () => {
          if (secret === undefined) throw noPassword(describeAddress(address))
          return secret
        },
        options: sourceOptions({ statement_timeout: String(statementTimeoutMs) }),
        application_name: 'dblab',
        ...(replication && { replication: 'true' }),
        connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
      },
      statementTimeoutMs,
    )
    try {
      await client.connect()
      return client
    } catch (error) {
      await client.leave().catch(() => undefined)
      if (isWithoutTls(error) && ssl !== false && address.sslMode === 'prefer') continue
      throw explainConnection(error, address, replication ? 'replication' : database)
    }
  }
  throw new Error('the last choice is returned or thrown')
}

/** Runs work on a connection, and closes it. */
export async function withSource<T>(
  login: SourceLogin,
  database: string,
  work: (client: Client) => Promise<T>,
): Promise<T> {
  const client = await connectSource(login, database)
  try {
    return await work(client)
  } catch (error) {
    throw explainQuery(error)
  } finally {
    await client.leave()
  }
}

/** What happened to a query of the lab's on the source. */
export function explainQuery(error: unknown): unknown {
  if (error instanceof DatabaseError) {
    // https://www.postgresql.org/docs/current/errcodes-appendix.html: connection, shutdown, recovery conflicts, nobody has asked for long; disk full
    if (/^(08|57P|40|25P03)/.test(error.code ?? '')) {
      return new InterruptedError(`the source ended the connection: ${error.message}`, { cause: error })
    }
    const hint =
      error.code === '53100' ? 'Make room on the disk of the source.' : 'See what the source says, and its log.'
    return new ProvisionError('FAILED', `the source refused: ${error.message}`, { cause: error, hint })
  }
  if (isUnanswered(error)) return new InterruptedError('the source does not answer any more', { cause: error })
  if (isSystemError(error) || (error instanceof Error && /^Connection terminated/.test(error.message))) {
    return new InterruptedError('the connection to the source broke', { cause: error })
  }
  return error
}

async function tlsChoices({ sslMode, sslRootCert, host }: SourceAddress): Promise<(ConnectionOptions | false)[]> {
  const ca = sslRootCert === undefined ? undefined : await readAuthority(sslRootCert)
  if (sslMode === 'disable' || host.startsWith('/')) return [false]
  if (sslMode === 'prefer') return [{ rejectUnauthorized: false }, false]
  // As libpq: with an authority at hand, require is as good as verify-ca.
  if (sslMode === 'require' && ca === undefined) return [{ rejectUnauthorized: false }]
  return [{ ca, ...(sslMode !== 'verify-full' && { checkServerIdentity: () => undefined }) }]
}

async function readAuthority(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8')
  } catch (error) {
    if (!isSystemError(error)) throw error
    throw new ProvisionError('INVALID', `the file that sslrootcert names can't be read (${error.code})`, {
      cause: error,
    })
  }
}

/** pg's own words: the server answered that it has no TLS. */
function isWithoutTls(error: unknown): boolean {
  return error instanceof Error && error.message === 'The server does not support SSL connections'
}

function explainConnection(error: unknown, address: SourceAddress, database: string): unknown {
  const where = `the source ${describeAddress(address)}`
  if (isProvisionError(error)) return error
  if (error instanceof DatabaseError) return explainRefusal(error, where, address, database)
  if (isWithoutTls(error)) {
    return invalid(
      `${where} has no TLS, and sslmode=${address.sslMode} asks for it`,
      error,
      'Turn ssl on there, or use sslmode=prefer.',
    )
  }
  if (isSystemError(error, 'ENOTFOUND')) {
    return invalid(
      `there is no host of the name in the address of ${where}`,
      error,
      'Correct retrieval.sources, or the name service.',
    )
  }
  if (error instanceof Error && /certificate|self.signed|altnames/i.test(error.message)) {
    return invalid(
      `the certificate of ${where} is not believed: ${error.message}`,
      error,
      'Name its authority with sslrootcert, or use sslmode=require.',
    )
  }
  return explainSilence(error, where)
}

/** Nobody answers there, or nobody can be asked. */
function explainSilence(error: unknown, where: string): unknown {
  if (isSystemError(error, 'ECONNREFUSED', 'ENOENT')) {
    return new InterruptedError(`nothing listens at ${where}`, {
      cause: error,
      hint: 'Is the source running, does it listen on that address (listen_addresses), and is the port right?',
    })
  }
  if (error instanceof Error && /timeout|terminated/i.test(error.message)) {
    return new InterruptedError(`${where} does not answer`, {
      cause: error,
      hint: 'Is there a firewall between the lab and it?',
    })
  }
  if (isSystemError(error)) {
    return new InterruptedError(`${where} can't be reached (${error.code})`, {
      cause: error,
      hint: 'Is its address right, does it run, and is there a way to it from here?',
    })
  }
  return error
}

/** https://www.postgresql.org/docs/current/errcodes-appendix.html */
function explainRefusal(
  error: DatabaseError,
  where: string,
  { user }: SourceAddress,
  database: string,
): ProvisionError {
  if (error.code === '28P01' || /no password supplied|SASL/i.test(error.message)) return wrongPassword(where, error)
  if (error.code === '28000' && /pg_hba/.test(error.message)) {
    return invalid(
      `${where} admits nobody of this name from here to ${JSON.stringify(database)}`,
      error,
      `Add a line to its pg_hba.conf, such as: host ${database} ${user} LAB-ADDRESS/32 scram-sha-256; then SELECT pg_reload_conf().`,
    )
  }
  if (error.code === '28000')
    return invalid(
      `${where} refused the login: ${error.message}`,
      error,
      'Make the role there: CREATE ROLE … LOGIN PASSWORD …',
    )
  if (error.code === '3D000') {
    return invalid(
      `${where} has no database ${JSON.stringify(database)}`,
      error,
      'Correct retrieval.sources: psql -l lists the databases.',
    )
  }
  if (error.code === '42501') {
    return invalid(
      `${where} does not let this role into ${JSON.stringify(database)}`,
      error,
      `Run there: GRANT CONNECT ON DATABASE ${escapeIdentifier(database)} TO ${escapeIdentifier(user)}`,
    )
  }
  // https://www.postgresql.org/docs/12/release-12.html: tcp_user_timeout
  if (error.code === '42704' && /tcp_user_timeout/.test(error.message)) {
    return invalid(`${where} is older than PostgreSQL 12`, error, 'Make a dump by hand, and bring that in: kind: file.')
  }
  if (/unsupported startup parameter/.test(error.message)) {
    return invalid(`${where} is a pooler, which can't hold a snapshot`, error, 'Name the address of PostgreSQL itself.')
  }
  // https://www.postgresql.org/docs/current/errcodes-appendix.html: connection, resources, an intervention: these may pass.
  const passes = /^(08|53|57)/.test(error.code ?? '')
  const why = { cause: error, hint: 'Its log says more, and max_connections how many it takes.' }
  const message = `${where} refused the connection: ${error.message}`
  return passes ? new InterruptedError(message, why) : new ProvisionError('FAILED', message, why)
}

function wrongPassword(where: string, cause: Error): ProvisionError {
  return invalid(
    `${where} does not take the password`,
    cause,
    'Correct what passwordEnv or passwordFile names, or PGPASSWORD with --source.',
  )
}

function noPassword(where: string): ProvisionError {
  return new ProvisionError(
    'INVALID',
    `the source ${where} asks for a password, and none is configured, or what passwordEnv names is not set`,
    {
      hint: 'Name where it is with passwordEnv or passwordFile; with --source it is taken from PGPASSWORD.',
    },
  )
}

function invalid(message: string, cause: unknown, hint: string): ProvisionError {
  return new ProvisionError('INVALID', message, { cause, hint })
}
