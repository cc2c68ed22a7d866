import type { AuditEntry, Error } from '@dblab/models'
import { Controller, Get, Query, Response, Route, Security, Tags } from '@tsoa/runtime'
import type { CallerServices } from '../access/caller-services.ts'

@Route()
@Tags('Access')
@Security('bearer')
@Security('verificationToken')
@Response<Error>(401, 'No token, or one that is not taken')
@Response<Error>(403, "The token's role may not do this")
@Response<Error>(429, 'Too many tokens that are not taken came from this address')
@Response<Error>('default', 'Any failure')
export class AuditController extends Controller {
  readonly #services: CallerServices

  constructor(services: CallerServices) {
    super()
    this.#services = services
  }

  /**
   * Who did what, when and from where, newest first: each request that was to change something, each that was refused for its token, and
   * what the lab deleted itself. For admins.
   *
   * @param limit How many entries; the next page begins before the last of them
   * @param before Only entries with a smaller id
   * @param clone Only those about the clone of this id
   * @param tokenName Only those of the token of this name; `first` for the lab's first token, `lab` for the lab itself
   * @param operation Only those of this operation, such as `CloneCreate`
   *
   * @isInt limit must be a whole number
   * @minimum limit 1
   * @maximum limit 1000
   * @isInt before must be a whole number
   * @minimum before 1
   * @maxLength clone 63
   * @maxLength tokenName 63
   * @maxLength operation 63
   *
   * @summary Read the audit log
   */
  @Get('audit')
  async list(
    @Query() limit = 100,
    @Query() before?: number,
    @Query() clone?: string,
    @Query() tokenName?: string,
    @Query() operation?: string,
  ): Promise<AuditEntry[]> {
    return this.#services.audit.list({ limit, before, clone, tokenName, operation })
  }
}
