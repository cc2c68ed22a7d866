import type { Error, Health, Instance } from '@dblab/models'
import { Controller, Get, Response, Route, Security, Tags } from '@tsoa/runtime'
import type { CallerServices } from '../access/caller-services.ts'

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
   * @summary The lab at a glance
   */
  @Get('status')
  @Security('bearer')
  @Security('verificationToken')
  @Response<Error>(401, 'No token, or one that is not taken')
  @Response<Error>(403, "The token's role may not do this")
  @Response<Error>(429, 'Too many tokens that are not taken came from this address')
  async status(): Promise<Instance> {
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
