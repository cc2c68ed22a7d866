import { Socket } from 'node:net'
import { Client, type ClientConfig } from 'pg'

/** A statement of the lab's own takes a fraction of it: after that, a source that is well gives it up. */
export const STATEMENT_TIMEOUT_MS = 45_000

/**
 * When no answer will come any more, since a source that is well has refused by now. While a query is on its way nothing asks whether the other side
 * is still there, and the system gives up after a quarter of an hour (tcp(7), tcp_retries2).
 */
const ANSWER_TIMEOUT_MS = STATEMENT_TIMEOUT_MS + 5000

/** How long a farewell may take. */
const LEAVE_MS = 2000

/** A connection to a source that may be cut off at any time, without a word. */
export class SourceClient extends Client {
  readonly #socket: Socket

  constructor(config: ClientConfig) {
    const socket = new Socket()
    super({
      ...config,
      stream: () => socket,
      query_timeout: ANSWER_TIMEOUT_MS,
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
