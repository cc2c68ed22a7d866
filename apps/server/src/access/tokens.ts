import type { CreatedToken, CreateTokenRequest, Token } from '@dblab/models'
import type { Catalogue } from '../catalogue/catalogue.ts'
import type { TokenRecord } from '../catalogue/tokens.ts'
import { LabError } from '../errors.ts'
import { randomId } from '../ids.ts'
import { requireFuture } from '../time.ts'
import { RESERVED_NAMES } from './caller.ts'
import { hashOf, makeSecret } from './secret.ts'

/** How long one that has ended is still known, so that whoever sends it is told why it is refused. */
const KEPT_AFTER_END_MS = 30 * 24 * 3_600_000

export interface TokensOptions {
  catalogue: Catalogue
  /** @throws LabError when the catalogue is lost. */
  requireWritable: () => void
}

/** Makes tokens and takes them back. What was made with a token stays when it ends; then it is the admins' to look after. */
export class Tokens {
  readonly #options: TokensOptions

  constructor(options: TokensOptions) {
    this.#options = options
  }

  /** The answer holds the secret, which is kept nowhere. */
  create({ name, role, expiresAt }: CreateTokenRequest): CreatedToken {
    const { catalogue, requireWritable } = this.#options
    requireWritable()
    if (RESERVED_NAMES.includes(name)) throw nameTaken('this name stands for somebody else in the audit log')
    const secret = makeSecret()
    const token: TokenRecord = {
      ...{ id: randomId(), name, role, hash: hashOf(secret) },
      createdAt: new Date().toISOString(),
      expiresAt: expiresAt ? requireFuture(expiresAt, 'expiresAt') : null,
      ...{ revokedAt: null, lastUsedAt: null },
    }
    catalogue.transaction(() => {
      if (catalogue.tokens.list().some((other) => other.name === name && statusOf(other) === 'ACTIVE')) {
        throw nameTaken('there is an active token of this name')
      }
      catalogue.tokens.add(token)
    })
    return { ...toToken(token), token: secret }
  }

  list(): Token[] {
    const { catalogue, requireWritable } = this.#options
    // An empty list would be believed.
    requireWritable()
    return catalogue.tokens.list().map(toToken)
  }

  /** Refused from now on. Twice is fine. */
  revoke(id: string): void {
    const { catalogue, requireWritable } = this.#options
    requireWritable()
    if (!catalogue.tokens.get(id)) throw new LabError('TOKEN_NOT_FOUND', 'there is no token with this id')
    catalogue.evenIfFull(() => catalogue.tokens.revoke(id, new Date().toISOString()))
  }

  /** For the background: those that ended long ago. */
  forgetEnded(): void {
    this.#options.catalogue.tokens.forgetEndedBefore(new Date(Date.now() - KEPT_AFTER_END_MS).toISOString())
  }
}

export function statusOf({ revokedAt, expiresAt }: TokenRecord): Token['status'] {
  if (revokedAt !== null) return 'REVOKED'
  return expiresAt !== null && expiresAt <= new Date().toISOString() ? 'EXPIRED' : 'ACTIVE'
}

/** Field by field: the hash is nobody's business. */
function toToken(token: TokenRecord): Token {
  return {
    id: token.id,
    name: token.name,
    role: token.role,
    status: statusOf(token),
    createdAt: token.createdAt,
    expiresAt: token.expiresAt ?? '',
    lastUsedAt: token.lastUsedAt ?? '',
  }
}

function nameTaken(detail: string): LabError {
  return new LabError('TOKEN_ALREADY_EXISTS', detail)
}
