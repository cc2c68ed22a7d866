import type { Clone, CreateCloneRequest, UpdateCloneRequest } from '@dblab/models'
import type { Catalogue } from '../catalogue/catalogue.ts'
import type { CloneFilter, CloneService } from '../cloning/clone-service.ts'
import { type ClonePage, type Page, pageOf } from '../cloning/paging.ts'
import type { Act } from './act.ts'
import { UnauthorizedError } from './authenticator.ts'
import { type Caller, requireOwned, scopeOf } from './caller.ts'
import { statusOf } from './tokens.ts'

/** The clones as one caller sees them. Somebody else's are not there for a member, whichever way it asks. */
export class CallerClones {
  readonly #clones: CloneService
  readonly #catalogue: Catalogue
  readonly #caller: Caller
  readonly #act: Act | undefined

  constructor(clones: CloneService, catalogue: Catalogue, caller: Caller, act: Act | undefined) {
    this.#clones = clones
    this.#catalogue = catalogue
    this.#caller = caller
    this.#act = act
  }

  async create(request: CreateCloneRequest, idempotencyKey?: string): Promise<Clone> {
    const clone = await this.#clones.create(request, { tokenId: this.#caller.tokenId, idempotencyKey })
    if (this.#act) this.#act.clone = clone.id
    return clone
  }

  list(filter: Omit<CloneFilter, 'tokenId'>, page: Page): ClonePage {
    return pageOf(this.#clones.list({ ...filter, tokenId: scopeOf(this.#caller) }), page)
  }

  get(id: string): Clone {
    return this.#clones.get(this.#owned(id))
  }

  update(id: string, changes: UpdateCloneRequest): Clone {
    return this.#clones.update(this.#owned(id), changes)
  }

  reset(id: string, to?: string): Promise<Clone> {
    return this.#clones.reset(this.#owned(id), to)
  }

  delete(id: string): Clone {
    return this.#clones.delete(this.#owned(id))
  }

  /** Meanwhile the clone may go, somebody else make one of the same id, and the token be revoked. */
  async wait(id: string, seconds: number, signal: AbortSignal): Promise<Clone> {
    await this.#clones.wait(this.#owned(id), seconds, signal)
    const token = this.#caller.tokenId && this.#catalogue.tokens.get(this.#caller.tokenId)
    if (token && statusOf(token) !== 'ACTIVE') throw new UnauthorizedError('the token ended while it waited')
    return this.get(id)
  }

  /** Decided in the same moment as what follows: nothing is awaited in between. */
  #owned(id: string): string {
    requireOwned(this.#caller, this.#catalogue.clones.get(id))
    return id
  }
}
