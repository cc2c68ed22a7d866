import type { Error, Retrieval, RetrievalRun } from '@dblab/models'
import {
  Controller,
  Delete,
  Get,
  Header,
  Middlewares,
  Post,
  Response,
  Route,
  Security,
  SuccessResponse,
  Tags,
} from '@tsoa/runtime'
import type { CallerServices } from '../access/caller-services.ts'
import { conditional } from '../http/conditional.ts'

@Route()
@Tags('Retrieval')
@Security('bearer')
@Security('verificationToken')
@Response<Error>(401, 'No token, or one that is not taken')
@Response<Error>(403, "The token's role may not do this")
@Response<Error>(429, 'Too many tokens that are not taken came from this address')
@Response<Error>('default', 'Any failure')
export class RetrievalController extends Controller {
  readonly #services: CallerServices

  constructor(services: CallerServices) {
    super()
    this.#services = services
  }

  /**
   * How data comes into the lab: its sources and schedule, the run under way with its step, how far it is and its log, and how the last runs
   * ended. Where the data comes from, the log and the reasons of failures are for admins.
   *
   * @param _ifNoneMatch The ETag of an answer that is at hand; 304 while nothing of it has changed
   *
   * @summary How data comes in
   */
  @Get('retrieval')
  @Middlewares(conditional)
  @SuccessResponse<{ ETag: string }>('200', 'Ok')
  @Response(304, 'Nothing of it has changed since it had the ETag that If-None-Match names')
  async get(@Header('If-None-Match') _ifNoneMatch?: string): Promise<Retrieval> {
    return this.#services.retrieval.view()
  }

  /**
   * Bring the data in anew, as a new generation beside the ones before: clones go on, and the newest snapshot stays the newest until the new
   * one is whole. Answers at once; GET /retrieval says how it goes. One runs at a time. For admins.
   *
   * @summary Refresh the data
   */
  @Post('refresh')
  @SuccessResponse('202', 'Begun')
  async refresh(): Promise<RetrievalRun> {
    this.setStatus(202)
    return this.#services.retrieval.refresh()
  }

  /**
   * Stop the refresh under way. Answers once nothing of it runs; what there was before stays as it was. For admins.
   *
   * @summary Stop the refresh
   */
  @Delete('refresh')
  async cancel(): Promise<RetrievalRun> {
    return this.#services.retrieval.cancel()
  }
}
