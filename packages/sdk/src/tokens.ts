import type { CallOptions, Client } from './client.ts'
import { expiry, type TokenLifetime } from './clone-input.ts'
import type { CreatedToken, CreateTokenRequest, Token } from './schema.gen.ts'

/** What a token is to be: the API's request, and how long it lasts. */
export interface CreateTokenInput extends Omit<CreateTokenRequest, 'expiresAt'>, TokenLifetime {}

/** The lab's tokens, for admins: `lab.tokens`. */
export class Tokens {
  readonly #client: Client

  /** Made by a Lab. */
  constructor(client: Client) {
    this.#client = client
  }

  /** Oldest first, without their secrets. The lab's first token is not among them. */
  list(options: CallOptions = {}): Promise<Token[]> {
    return this.#client.call('GET /tokens', {}, options)
  }

  /**
   * Makes a token; the answer's `token` is its secret, which can't be asked for again.
   *
   * @throws LabApiError TOKEN_ALREADY_EXISTS for the name of an active one; TypeError for a ttl or a date that is none
   * @example
   * const { token } = await lab.tokens.create({ name: 'ci', role: 'member', ttl: '90d' })
   */
  create({ expiresAt, ttl, ...rest }: CreateTokenInput, options: CallOptions = {}): Promise<CreatedToken> {
    return this.#client.call('POST /token', { body: { ...rest, ...expiry(expiresAt, ttl) } }, options)
  }

  /**
   * Refused from now on. The clones that were made with it stay.
   *
   * @throws LabApiError TOKEN_NOT_FOUND
   */
  async revoke(id: string, options: CallOptions = {}): Promise<void> {
    await this.#client.call('DELETE /token/{id}', { path: { id } }, options)
  }
}
