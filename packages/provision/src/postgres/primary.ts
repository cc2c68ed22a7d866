import { ProvisionError } from '../errors.ts'

/** What of the server is proved before data is asked of it (libpq, `sslmode`): nothing below `verify-ca`, and its name with `verify-full`. */
export type SslMode = 'disable' | 'allow' | 'prefer' | 'require' | 'verify-ca' | 'verify-full'

/** The server that a standby follows. */
export interface PrimaryConnection {
  /** A name, an address, or the directory of a socket. */
  host: string
  port: number
  /** A role with REPLICATION, whom the source's rules let in for `replication`. */
  username: string
  password?: string | undefined
  sslMode: SslMode
  /** Others of libpq's parameters, such as `sslrootcert`, whose files the account of the servers can read. None of them is a secret. */
  parameters?: Readonly<Record<string, string>> | undefined
}

/** Those that a connection of replication may want (manual, "Parameter Key Words"); the rest are the lab's, a secret's, or beside the point. */
const PARAMETERS: readonly string[] = [
  'application_name',
  'channel_binding',
  'connect_timeout',
  'gssencmode',
  'hostaddr',
  'keepalives',
  'keepalives_count',
  'keepalives_idle',
  'keepalives_interval',
  'sslcert',
  'sslcrl',
  'sslkey',
  'sslrootcert',
  'sslsni',
  'ssl_max_protocol_version',
  'ssl_min_protocol_version',
  'target_session_attrs',
  'tcp_user_timeout',
]

/**
 * As `primary_conninfo`, without the password, which stands in the file.
 * @throws ProvisionError INVALID for a parameter that may not be given, or a value with a zero byte
 */
export function primaryConninfo(primary: PrimaryConnection, passfile: string): string {
  const { host, port, username, sslMode, parameters = {} } = primary
  const unknown = Object.keys(parameters).find((name) => !PARAMETERS.includes(name))
  if (unknown !== undefined) {
    throw new ProvisionError('INVALID', 'a parameter of the connection to the source may not be given', {
      hint: `Those that may be: ${PARAMETERS.join(', ')}.`,
    })
  }
  const all = {
    application_name: 'dblab',
    ...parameters,
    ...{ host, port: String(port), user: username, sslmode: sslMode, passfile },
  }
  if (Object.values(all).some((value) => value.includes('\0')))
    throw new ProvisionError('INVALID', 'a parameter of the connection to the source has a zero byte')
  // Within single quotes a backslash comes before these two (manual, "Keyword/Value Connection Strings").
  const quoted = (value: string) => `'${value.replace(/[\\']/g, '\\$&')}'`
  return Object.entries(all)
    .map(([name, value]) => `${name}=${quoted(value)}`)
    .join(' ')
}

/**
 * The one line of a password file, for whatever server is asked (manual, "The Password File").
 * @throws ProvisionError INVALID for a password that can't stand there
 */
export function passwordFile(password: string | undefined): string {
  if (password === undefined) return ''
  if (/[\n\r\0]/.test(password))
    throw new ProvisionError('INVALID', 'the password for the source has a line break or a zero byte', {
      hint: 'Give the role another one.',
    })
  return `*:*:*:*:${password.replace(/[\\:]/g, '\\$&')}\n`
}
