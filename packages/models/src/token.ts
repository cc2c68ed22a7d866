/**
 * What a token may do. admin: everything. member: make clones, and see and change the clones made with this token; take snapshots of them,
 * and delete those. viewer: read everything but tokens and the audit log, and change nothing.
 */
export type Role = 'admin' | 'member' | 'viewer'

/** ACTIVE: taken. EXPIRED, REVOKED: refused; forgotten some time later. */
export type TokenStatusCode = 'ACTIVE' | 'EXPIRED' | 'REVOKED'

/** A token as it can be shown: the secret itself is answered once, when it is made, and kept by nobody. */
export interface Token {
  id: string
  /** No two active tokens have the same. */
  name: string
  role: Role
  status: TokenStatusCode
  /** ISO 8601 in UTC. */
  createdAt: string
  /** From when on it is refused, ISO 8601 in UTC; empty for never. */
  expiresAt: string
  /** When it was last taken, to the minute or so, ISO 8601 in UTC; empty for never. */
  lastUsedAt: string
}

/** A token that was just made, with its secret. */
export interface CreatedToken {
  id: string
  name: string
  role: Role
  status: TokenStatusCode
  /** ISO 8601 in UTC. */
  createdAt: string
  /** From when on it is refused, ISO 8601 in UTC; empty for never. */
  expiresAt: string
  /** Empty: it is new. */
  lastUsedAt: string
  /** The secret, to be sent as `Authorization: Bearer`. It can't be asked for again. */
  token: string
}

/**
 * What a token is to be.
 *
 * @example { "name": "ci", "role": "member" }
 */
export interface CreateTokenRequest {
  /**
   * For people and for the audit log. Letters, digits, dots, dashes and underscores.
   *
   * @pattern ^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$ must be 1 to 63 letters, digits, dots, dashes and underscores, and begin with a letter or digit
   */
  name: string
  role: Role
  /**
   * From when on it is refused: ISO 8601, in the future. Empty or left out: never.
   *
   * @maxLength 40
   */
  expiresAt?: string
}
