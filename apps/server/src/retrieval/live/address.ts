import { ProvisionError } from '@dblab/provision'

/** https://www.postgresql.org/docs/current/libpq-ssl.html#LIBPQ-SSL-PROTECTION; `allow` is as good as none, and left out. */
const SSL_MODES = ['disable', 'prefer', 'require', 'verify-ca', 'verify-full'] as const
export type SslMode = (typeof SSL_MODES)[number]

/** Where a source listens, and as whom the lab comes. */
export interface SourceAddress {
  /** A name, an address, or the absolute path of a socket's directory. */
  host: string
  port: number
  user: string
  database: string
  sslMode: SslMode
  /** PEM file of the authorities that are believed; needed by verify-ca and verify-full. */
  sslRootCert: string | undefined
}

const TAKEN_PARAMETERS = ['host', 'port', 'user', 'dbname', 'sslmode', 'sslrootcert']

/**
 * Reads a `postgresql://` URI as libpq does, as far as a source needs it. Its words never go into a message: what is wrong may be a password.
 * https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNSTRING-URIS
 *
 * @throws ProvisionError INVALID
 */
export function parseSourceUrl(text: string): SourceAddress {
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (!url || !/^postgres(ql)?:$/.test(url.protocol)) throw invalid('is no postgresql:// URI')
  const parameters = url.searchParams
  if (url.password !== '' || parameters.has('password')) {
    throw invalid(
      'holds a password, which everybody could read',
      'Leave it out, and give it in the environment (PGPASSWORD, or what passwordEnv names) or in a file (passwordFile).',
    )
  }
  const unknown = [...parameters.keys()].filter((name) => !TAKEN_PARAMETERS.includes(name))
  if (unknown.length > 0) throw invalid(`has parameters that are not taken; these are: ${TAKEN_PARAMETERS.join(', ')}`)
  const user = parameters.get('user') ?? decoded(url.username)
  const database = parameters.get('dbname') ?? decoded(url.pathname.slice(1))
  const port = Number(parameters.get('port') ?? (url.port || 5432))
  if (user === '') throw invalid('names no user')
  if (!Number.isInteger(port) || port < 1 || port > 65_535) throw invalid('has a port that is none')
  const sslMode = (parameters.get('sslmode') ?? 'prefer') as SslMode
  if (!SSL_MODES.includes(sslMode)) throw invalid(`has another sslmode than ${SSL_MODES.join(', ')}`)
  const sslRootCert = parameters.get('sslrootcert') ?? undefined
  if (sslMode.startsWith('verify') && sslRootCert === undefined) {
    throw invalid(
      `has sslmode=${sslMode} and no sslrootcert`,
      "Name the PEM file of the server's authority: &sslrootcert=/path.",
    )
  }
  const host = parameters.get('host') ?? decoded(url.hostname).replace(/^\[(.*)\]$/, '$1')
  return { host: host || 'localhost', port, user, database: database || user, sslMode, sslRootCert }
}

/** For people: no secret is part of an address. */
export function describeAddress({ host, port, user }: SourceAddress): string {
  return host.startsWith('/') ? `${user}@${host} (port ${port})` : `${user}@${host}:${port}`
}

/**
 * Lets a program notice within a minute that the source is gone, though nothing tells it so: else it would wait for as long as its system takes two
 * hours to ask. https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-KEEPALIVES
 */
const LIVELINESS = {
  keepalives: '1',
  keepalives_idle: '15',
  keepalives_interval: '5',
  keepalives_count: '3',
  tcp_user_timeout: '30000',
} as const

/** For libpq's programs, with all in one text. The password comes from a file. */
export function connectionText(address: SourceAddress, database: string): string {
  const { host, port, user, sslMode, sslRootCert } = address
  const parameters = {
    ...{ host, port: String(port), user, dbname: database, sslmode: sslMode },
    ...(sslRootCert !== undefined && { sslrootcert: sslRootCert }),
    ...LIVELINESS,
  }
  return Object.entries(parameters)
    .map(([name, value]) => `${name}='${value.replaceAll(/[\\']/g, '\\$&')}'`)
    .join(' ')
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch (error) {
    if (!(error instanceof URIError)) throw error
    throw invalid('has a percent sign that escapes nothing')
  }
}

function invalid(
  problem: string,
  hint = 'Such as postgresql://dump@db.example.com:5432/shop?sslmode=require',
): ProvisionError {
  return new ProvisionError('INVALID', `the address of the source ${problem}`, { hint })
}
