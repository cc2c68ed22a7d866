import { Socket } from 'node:net'
import { Client, type ClientConfig } from 'pg'

/**
 * How much later no answer will come any more, since a source that is well has refused by then. While a query is on its way nothing asks whether the
 * other side is still there, and the system gives up after a quarter of an hour (tcp(7), tcp_retries2).
 */
const UNANSWERED_MS = 5000

/** How long a farewell may take. */
const LEAVE_MS = 2000

/** A connection to a source that may be cut off at any time, without a word. */
export class SourceClient extends Client {
  readonly #socket: Socket

  /** @param statementTimeoutMs of the session: when the source itself gives a statement up */
  constructor(config: ClientConfig, statementTimeoutMs: number) {
    const socket = new Socket()
    super({
      ...config,
      stream: () => socket,
      query_timeout: statementTimeoutMs + UNANSWERED_MS,
      // The system asks once a second from then on, and gives up after ten times (libuv, uv__tcp_keepalive).
      keepAlive: true,
      keepAliveInitialDelayMillis: 10_000,
    })
    this.#socket = socket
    // A lost connection fails the query that runs, or the next one.
    this.on('error', () => undefined)
  }

  /** Closes it, though nobody may hear of that. */
  async leave(): Promise<void> {
    const timer = setTimeout(() => this.#socket.destroy(), LEAVE_MS)
    try {
      await this.end()
    } finally {
      clearTimeout(timer)
    }
  }
}

/** True where a query has waited for its answer as long as there is one to be had: in pg's own words. */
export function isUnanswered(error: unknown): boolean {
  return error instanceof Error && error.message === 'Query read timeout'
}
