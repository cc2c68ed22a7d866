import type { CreatedToken, CreateTokenRequest, Token } from '@dblab/models'
import type { Act } from './act.ts'
import type { Tokens } from './tokens.ts'

/** The tokens as an admin manages them, with a note of which one it was about. */
export class CallerTokens {
  readonly #tokens: Tokens
  readonly #act: Act | undefined

  constructor(tokens: Tokens, act: Act | undefined) {
    this.#tokens = tokens
    this.#act = act
  }

  create(request: CreateTokenRequest): CreatedToken {
    const token = this.#tokens.create(request)
    if (this.#act) this.#act.token = token.id
    return token
  }

  list(): Token[] {
    return this.#tokens.list()
  }

  revoke(id: string): void {
    this.#tokens.revoke(id)
  }
}
