import { type Instance, withLabConnection } from '@dblab/provision'
import type { Client } from 'pg'

export interface SessionOptions {
  signal: AbortSignal
  /** As `LabConnectionOptions` has them. */
  dataSession?: boolean
  role?: string
}

const SETTINGS = [
  // A backend notices that the lab has gone, as at an abort, within a second, and not when its statement ends. PostgreSQL 14 refuses it elsewhere.
  ...(process.platform === 'linux' ? ['client_connection_check_interval = 1000'] : []),
  // The server's log outlives the data: an error's DETAIL names keys, and some errors say what they met.
  'log_min_messages = panic',
  // What becomes of a value hangs on its text.
  'bytea_output = hex',
  // What an error's context says is read.
  `lc_messages = 'C'`,
]

/** As statements of one message. */
export const sessionSettings = SETTINGS.map((setting) => `set ${setting}`).join('; ')

/** As `withLabConnection`, without a bound of its own, for what works on values that nobody may see. */
export function maskingSession<T>(
  instance: Instance,
  database: string,
  work: (client: Client) => Promise<T>,
  options: SessionOptions,
): Promise<T> {
  const begin = async (client: Client): Promise<T> => {
    await client.query(sessionSettings)
    return work(client)
  }
  return withLabConnection(instance, database, begin, { ...options, timeoutMs: 0 })
}
