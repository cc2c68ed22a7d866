import type { Catalogue } from '../catalogue/catalogue.ts'
import type { TokenRecord } from '../catalogue/tokens.ts'
import { isOutOfSpace, isUnreachableCatalogue, LabError } from '../errors.ts'
import { type Caller, FIRST_TOKEN } from './caller.ts'
import { hashOf, sameHash } from './secret.ts'
import { statusOf } from './tokens.ts'

/** A request without a token that the lab takes. */
export class UnauthorizedError extends LabError {
  /** Whose token it was, where it was taken once. */
  readonly former: Caller | undefined
  /** True for what may be a guess: not for no token, nor for one that was right once. */
  readonly isGuess: boolean

  constructor(detail: string, { former, isGuess = false }: { former?: Caller; isGuess?: boolean } = {}) {
    super('UNAUTHORIZED', detail)
    this.former = former
    this.isGuess = isGuess
  }
}

export interface AuthenticatorOptions {
  catalogue: Catalogue
  /** The secret of the first token. */
  firstToken: string
  /** True when the catalogue is lost, and with it all tokens but the first. */
  catalogueIsLost: boolean
}

/** Says whose a token is. */
export class Authenticator {
  readonly #catalogue: Catalogue
  readonly #firstHash: string
  readonly #catalogueIsLost: boolean
  /** When each token was last taken, as far as it is not written down yet: but for a token's first, no request waits for a disk because of it. */
  readonly #uses = new Map<string, string>()

  constructor({ catalogue, firstToken, catalogueIsLost }: AuthenticatorOptions) {
    this.#catalogue = catalogue
    this.#firstHash = hashOf(firstToken)
    this.#catalogueIsLost = catalogueIsLost
  }

  /**
   * The index of the catalogue is searched for the hash of what was sent. How long that takes tells at most how a stored hash begins, which
   * helps nobody to find a secret with that hash; what is compared whole is compared in constant time.
   *
   * @throws UnauthorizedError
   */
  authenticate(secret: string | undefined): Caller {
    if (secret === undefined) throw new UnauthorizedError('the request has no token')
    const hash = hashOf(secret)
    if (sameHash(hash, this.#firstHash)) return FIRST_TOKEN
    const token = this.#catalogue.tokens.getByHash(hash)
    if (!token || !sameHash(hash, token.hash)) {
      throw new UnauthorizedError(
        this.#catalogueIsLost
          ? "the catalogue is lost, and with it all tokens but the lab's first"
          : 'the token is not one of this lab',
        { isGuess: true },
      )
    }
    const caller = callerOf(token)
    const status = statusOf(token)
    if (status === 'REVOKED') throw new UnauthorizedError('the token was revoked', { former: caller })
    if (status === 'EXPIRED') {
      throw new UnauthorizedError(`the token expired at ${token.expiresAt}`, { former: caller })
    }
    this.#noteUse(token)
    return caller
  }

  /** The first is written at once: whoever tries a new token looks whether it came through. */
  #noteUse({ id, lastUsedAt }: TokenRecord): void {
    const isFirst = lastUsedAt === null && !this.#uses.has(id)
    this.#uses.set(id, new Date().toISOString())
    if (!isFirst) return
    try {
      this.writeUses()
    } catch (error) {
      // Then the background does, and says why it could not.
      if (!isOutOfSpace(error) && !isUnreachableCatalogue(error)) throw error
    }
  }

  /** Writes down when tokens were last taken: all that was put off. */
  writeUses(): void {
    if (this.#uses.size === 0) return
    const { tokens } = this.#catalogue
    this.#catalogue.transaction(() => {
      for (const [id, time] of this.#uses) tokens.noteUse(id, time)
    })
    this.#uses.clear()
  }
}

function callerOf({ id, name, role }: TokenRecord): Caller {
  return { tokenId: id, name, role }
}
