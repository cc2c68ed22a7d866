import type { Error, Health, Instance } from '@dblab/models'
import { Controller, Get, Response, Route, Security, Tags } from '@tsoa/runtime'
import type { Services } from '../services.ts'

@Route()
@Tags('Instance')
@Response<Error>('default', 'Any failure')
export class StatusController extends Controller {
  readonly #services: Services

  constructor(services: Services) {
    super()
    this.#services = services
  }

  /**
   * The lab at a glance: its status, disk, clones and snapshots.
   *
   * @summary The lab at a glance
   */
  @Get('status')
  @Security('bearer')
  @Security('verificationToken')
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
