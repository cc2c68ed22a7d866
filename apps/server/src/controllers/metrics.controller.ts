import type { Error } from '@dblab/models'
import { Controller, Get, Middlewares, Response, Route, Security, SuccessResponse, Tags } from '@tsoa/runtime'
import type { CallerServices } from '../access/caller-services.ts'
import { plainText } from '../http/plain-text.ts'

@Route()
@Tags('Instance')
@Security('bearer')
@Security('verificationToken')
@Response<Error>(401, 'No token, or one that is not taken')
@Response<Error>(403, "The token's role may not do this")
@Response<Error>(429, 'Too many tokens that are not taken came from this address')
@Response<Error>('default', 'Any failure')
export class MetricsController extends Controller {
  readonly #services: CallerServices

  constructor(services: CallerServices) {
    super()
    this.#services = services
  }

  /**
   * What Prometheus reads, in its text format: how long creations, resets and requests took, and the lab as it is. Of the whole lab for
   * every role, since it counts and names nobody. Counters begin at 0 with each start of the server.
   *
   * @summary Metrics for Prometheus
   */
  @Get('metrics')
  @Middlewares(plainText)
  @SuccessResponse('200', 'Ok', 'text/plain')
  async read(): Promise<string> {
    return this.#services.metrics.text()
  }
}
