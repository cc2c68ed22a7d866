/** One HTTP request, ready to be sent. */
export interface TransportRequest {
  method: string
  /** Absolute. */
  url: string
  /** Holds the token: not to be logged. */
  headers: Record<string, string>
  /** JSON; may hold a password: not to be logged. */
  body: string | undefined
  /** When it aborts, the request is given up and its connection is let go. */
  signal: AbortSignal
}

interface TransportAnswer {
  status: number
  /** A header by its name in lower case. */
  header(name: string): string | undefined
}

export interface TransportResponse extends TransportAnswer {
  /** The whole body. */
  body: string
}

export interface TransportStream extends TransportAnswer {
  /** The body as it comes. Throws when it is cut, and when the request's signal aborts. Whoever stops reading it early aborts that. */
  body: AsyncIterable<string>
}

/** What carries requests to the lab. One for Node (`undiciTransport`) and one for browsers (`fetchTransport`) are at hand. */
export interface Transport {
  /**
   * Sends a request once, without following redirects: they could carry the token elsewhere. Resolves with any whole answer, whatever
   * its status. Rejects when none came: with the signal's reason after an abort, else with an error that may have a system or undici
   * `code`.
   */
  send(request: TransportRequest): Promise<TransportResponse>
  /**
   * The same for an answer that goes on: resolves when its headers are there. A transport without it has no `lab.events()`, and waits by
   * asking.
   */
  stream?(request: TransportRequest): Promise<TransportStream>
  /** Lets go of idle connections, once what is under way has ended. Twice is fine. */
  close(): Promise<void>
}
