import type { Error, Health, Instance } from '@dblab/models'
import { Controller, Get, Header, Middlewares, Response, Route, Security, SuccessResponse, Tags } from '@tsoa/runtime'
import type { CallerServices } from '../access/caller-services.ts'
import { conditional } from '../http/conditional.ts'

@Route()
@Tags('Instance')
@Response<Error>('default', 'Any failure')
export class StatusController extends Controller {
  readonly #services: CallerServices

  constructor(services: CallerServices) {
    super()
    this.#services = services
  }

  /**
   * The lab at a glance: its status, disk, clones and snapshots. A member sees and counts its own clones.
   *
   * @param _ifNoneMatch The ETag of an answer that is at hand; 304 while nothing of it has changed
   *
   * @summary The lab at a glance
   */
  @Get('status')
  @Middlewares(conditional)
  @SuccessResponse<{ ETag: string }>('200', 'Ok')
  @Response(304, 'Nothing of it has changed since it had the ETag that If-None-Match names')
  @Security('bearer')
  @Security('verificationToken')
  @Response<Error>(401, 'No token, or one that is not taken')
  @Response<Error>(403, "The token's role may not do this")
  @Response<Error>(429, 'Too many tokens that are not taken came from this address')
  async status(@Header('If-None-Match') _ifNoneMatch?: string): Promise<Instance> {
    return this.#services.status.status()
  }

  /**
   * Whether the server answers. Needs no token.
   *
   * @summary Is the server there?
   */
  @Get('healthz')
  async health(): Promise<Health> {
    return this.#services.status.health()
  }
}
