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

export interface TransportResponse {
  status: number
  /** A header by its name in lower case. */
  header(name: string): string | undefined
  /** The whole body. */
  body: string
}

/** What carries requests to the lab. One for Node (`undiciTransport`) and one for browsers (`fetchTransport`) are at hand. */
export interface Transport {
  /**
   * Sends a request once, without following redirects: they could carry the token elsewhere. Resolves with any whole answer, whatever
   * its status. Rejects when none came: with the signal's reason after an abort, else with an error that may have a system or undici
   * `code`.
   */
  send(request: TransportRequest): Promise<TransportResponse>
  /** Lets go of idle connections, once what is under way has ended. Twice is fine. */
  close(): Promise<void>
}
