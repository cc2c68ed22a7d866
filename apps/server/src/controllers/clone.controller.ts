import type {
  Clone,
  CloneStatusCode,
  CreateCloneRequest,
  Error,
  ResetCloneRequest,
  UpdateCloneRequest,
} from '@dblab/models'
import {
  Body,
  Controller,
  Delete,
  Get,
  Header,
  Middlewares,
  Patch,
  Path,
  Post,
  Query,
  Request,
  Response,
  Route,
  Security,
  SuccessResponse,
  Tags,
} from '@tsoa/runtime'
import type { Request as ExpressRequest } from 'express'
import type { CallerServices } from '../access/caller-services.ts'
import { conditional } from '../http/conditional.ts'
import { nextLink } from '../http/link.ts'
import { endOfWaiting } from '../http/stopping.ts'

@Route()
@Tags('Clones')
@Security('bearer')
@Security('verificationToken')
@Response<Error>(401, 'No token, or one that is not taken')
@Response<Error>(403, "The token's role may not do this")
@Response<Error>(429, 'Too many tokens that are not taken came from this address')
@Response<Error>('default', 'Any failure')
export class CloneController extends Controller {
  readonly #services: CallerServices

  constructor(services: CallerServices) {
    super()
    this.#services = services
  }

  /**
   * Create a clone, for members and admins. It belongs to the token that it is made with, whatever `username` says. Answers at once, while
   * the clone is CREATING; with `wait`, when it is OK or FATAL or the seconds are over.
   *
   * @param wait Seconds to hold the answer until the clone is ready
   * @param idempotencyKey Makes a retry safe: the same key with the same request answers with the clone that the first one made
   *
   * @isInt wait must be a whole number
   * @minimum wait 0
   * @maximum wait 600
   * @minLength idempotencyKey 1
   * @maxLength idempotencyKey 200
   *
   * @summary Create a clone
   */
  @Post('clone')
  @SuccessResponse('201', 'Created')
  async create(
    @Body() body: CreateCloneRequest,
    @Request() request: ExpressRequest,
    @Query() wait?: number,
    @Header('Idempotency-Key') idempotencyKey?: string,
  ): Promise<Clone> {
    const clone = await this.#services.clones.create(body, idempotencyKey)
    this.setStatus(201)
    this.setHeader('Location', `/clone/${clone.id}`)
    return this.#settled(clone, wait, request)
  }

  /**
   * List the clones, oldest first; for a member, those that were made with its token. Another member's is nowhere there for it. All in one answer;
   * with `limit` page by page: as long as there are more, the header `Link` has the address of the next page, as `<…>; rel="next"`.
   *
   * @param limit How many at most; left out: all
   * @param after Only those behind this place in the list, which the `Link` of the page before has
   * @param _ifNoneMatch The ETag of an answer that is at hand; 304 while nothing of it has changed
   *
   * @isInt limit must be a whole number
   * @minimum limit 1
   * @maximum limit 1000
   * @maxLength after 200
   *
   * @summary List the clones
   */
  @Get('clones')
  @Middlewares(conditional)
  @SuccessResponse<{ ETag: string; Link?: string }>('200', 'Ok')
  @Response(304, 'Nothing of it has changed since it had the ETag that If-None-Match names')
  async list(
    @Query() project?: string,
    @Query() username?: string,
    @Query() status?: CloneStatusCode,
    @Query() limit?: number,
    @Query() after?: string,
    @Header('If-None-Match') _ifNoneMatch?: string,
  ): Promise<Clone[]> {
    const filter = { project, username, status }
    const { clones, next } = this.#services.clones.list(filter, { limit, after })
    if (next !== undefined) this.setHeader('Link', nextLink({ ...filter, limit, after: next }))
    return clones
  }

  /**
   * A clone and its status. With `wait`, held until it is OK or FATAL or the seconds are over; only then it is compared with `If-None-Match`.
   *
   * @param wait Seconds to hold the answer until the clone is ready
   * @param _ifNoneMatch The ETag of an answer that is at hand; 304 while nothing of it has changed
   *
   * @isInt wait must be a whole number
   * @minimum wait 0
   * @maximum wait 600
   *
   * @summary Look at a clone, or wait for it
   */
  @Get('clone/{id}')
  @Middlewares(conditional)
  @SuccessResponse<{ ETag: string }>('200', 'Ok')
  @Response(304, 'Nothing of it has changed since it had the ETag that If-None-Match names')
  async get(
    @Path() id: string,
    @Request() request: ExpressRequest,
    @Query() wait?: number,
    @Header('If-None-Match') _ifNoneMatch?: string,
  ): Promise<Clone> {
    return this.#settled(this.#services.clones.get(id), wait, request)
  }

  /**
   * Change a clone's name, project, username, protection or time of deletion.
   *
   * @summary Change a clone
   */
  @Patch('clone/{id}')
  async update(@Path() id: string, @Body() body: UpdateCloneRequest): Promise<Clone> {
    return this.#services.clones.update(id, body)
  }

  /**
   * Give a clone its snapshot's data again, or another snapshot's, at the same host, port, user and password.
   *
   * @param wait Seconds to hold the answer until the clone is ready
   *
   * @isInt wait must be a whole number
   * @minimum wait 0
   * @maximum wait 600
   *
   * @summary Reset a clone to a snapshot
   */
  @Post('clone/{id}/reset')
  @SuccessResponse('202', 'Accepted')
  async reset(
    @Path() id: string,
    @Request() request: ExpressRequest,
    @Body() body?: ResetCloneRequest,
    @Query() wait?: number,
  ): Promise<Clone> {
    const clone = await this.#services.clones.reset(id, body?.snapshot)
    this.setStatus(202)
    return this.#settled(clone, wait, request)
  }

  /**
   * Delete a clone: DELETING, then gone. What is under way for it is stopped.
   *
   * @summary Delete a clone
   */
  @Delete('clone/{id}')
  @SuccessResponse('202', 'Accepted')
  async delete(@Path() id: string): Promise<Clone> {
    const clone = this.#services.clones.delete(id)
    this.setStatus(202)
    return clone
  }

  #settled(clone: Clone, wait: number | undefined, request: ExpressRequest): Promise<Clone> | Clone {
    return wait ? this.#services.clones.wait(clone.id, wait, endOfWaiting(request)) : clone
  }
}
