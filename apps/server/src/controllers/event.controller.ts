import type { Error, LabEvent, LabEventType } from '@dblab/models'
import {
  Controller,
  Get,
  Header,
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
import { beginEventStream, streamEvents } from '../http/event-stream.ts'
import { endOfWaiting } from '../http/stopping.ts'

@Route()
@Tags('Events')
@Security('bearer')
@Security('verificationToken')
@Response<Error>(401, 'No token, or one that is not taken')
@Response<Error>(403, "The token's role may not do this")
@Response<Error>(429, 'Too many tokens that are not taken came from this address')
@Response<Error>('default', 'Any failure')
export class EventController extends Controller {
  readonly #services: CallerServices

  constructor(services: CallerServices) {
    super()
    this.#services = services
  }

  /**
   * Every change of clones, snapshots and refreshes, as it happens: Server-Sent Events, whose data is a LabEvent each. For a member, those of its own
   * clones, and of all snapshots.
   *
   * The first event is a `resync`: what is read after it, and changed by what follows, is up to date. It comes again whenever changes were
   * missed. A comment every 15 seconds shows that the stream is alive. The stream ends when the server stops and when the token does. Since a
   * browser's `EventSource` can't send a token, pages read it by `fetch`.
   *
   * @param types Types of events, such as `clone,snapshot`; left out: all. A `resync` always comes
   * @param clone Only what is about this clone: itself, and snapshots that were taken of it
   * @param lastEventId The id of the last event that was seen: goes on behind it, where the server still knows it
   *
   * @pattern types ^(clone|snapshot|retrieval)(,(clone|snapshot|retrieval)){0,2}$ must be a list of clone, snapshot and retrieval
   * @maxLength clone 63
   *
   * @summary Follow what happens
   */
  @Get('events')
  @SuccessResponse('200', 'Events, one after the other', 'text/event-stream')
  @Response<LabEvent>(200, 'Events, one after the other', undefined, 'text/event-stream')
  async watch(
    @Request() request: ExpressRequest,
    @Query() types?: string,
    @Query() clone?: string,
    @Header('Last-Event-ID') lastEventId?: string,
  ): Promise<void> {
    const { res: response } = request
    if (!response) throw new TypeError('the request has no response')
    if (request.method === 'HEAD') {
      beginEventStream(response)
      response.end()
      return
    }
    const filter = { types: types?.split(',') as LabEventType[] | undefined, clone }
    using reader = this.#services.events.open(filter, lastEventId)
    await streamEvents(reader, response, endOfWaiting(request))
  }
}
