/** One thing that was asked of the lab, or that it did itself. Never holds a body, a password or a token. */
export interface AuditEntry {
  /** Grows with time: `before` takes it, for the page after. */
  id: number
  /** When it began, ISO 8601 in UTC. */
  at: string
  /** Empty for the lab's first token, for the lab itself, and where no token of this lab was sent. */
  tokenId: string
  /** The token's name; `first` for the lab's first token, `lab` for what the lab did itself, `command` for
   * "npm run token" while no server ran; empty where no token of this lab was sent. */
  tokenName: string
  /** The operation of the API, by its id in the document, such as `CloneCreate`. */
  operation: string
  /** The clone that it was about; empty for none. */
  clone: string
  /** The snapshot that it was about; empty for none. */
  snapshot: string
  /** The id of the token that it was about; empty for none. */
  token: string
  /** The address that it came from; empty for what the lab did itself. */
  address: string
  /** HTTP status of the answer; 0 where there was none: it is under way, the client went away, the server ended before, or the lab
   * did it itself. */
  status: number
  /** The code of the error that was answered; empty for none. */
  errorCode: string
  /** Why the lab did it itself, or refused it where the code alone does not tell; empty otherwise. */
  reason: string
  /** Finds the request in the server's log. */
  requestId: string
}
