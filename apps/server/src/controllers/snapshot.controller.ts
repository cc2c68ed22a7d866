import type { CreateSnapshotRequest, Error, Snapshot, UpdateSnapshotRequest } from '@dblab/models'
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
  Response,
  Route,
  Security,
  SuccessResponse,
  Tags,
} from '@tsoa/runtime'
import type { CallerServices } from '../access/caller-services.ts'
import { conditional } from '../http/conditional.ts'

@Route()
@Tags('Snapshots')
@Security('bearer')
@Security('verificationToken')
@Response<Error>(401, 'No token, or one that is not taken')
@Response<Error>(403, "The token's role may not do this")
@Response<Error>(429, 'Too many tokens that are not taken came from this address')
@Response<Error>('default', 'Any failure')
export class SnapshotController extends Controller {
  readonly #services: CallerServices

  constructor(services: CallerServices) {
    super()
    this.#services = services
  }

  /**
   * List the snapshots, newest data first. The first is what a clone gets that names none.
   *
   * @param _ifNoneMatch The ETag of an answer that is at hand; 304 while nothing of it has changed
   *
   * @summary List the snapshots
   */
  @Get('snapshots')
  @Middlewares(conditional)
  @SuccessResponse<{ ETag: string }>('200', 'Ok')
  @Response(304, 'Nothing of it has changed since it had the ETag that If-None-Match names')
  async list(@Header('If-None-Match') _ifNoneMatch?: string): Promise<Snapshot[]> {
    return this.#services.snapshots.list()
  }

  /**
   * Take a snapshot: of the lab's own data, or of a running clone after a CHECKPOINT. Answers when it can be cloned. A
   * member takes it of a clone of its own.
   *
   * @summary Take a snapshot
   */
  @Post('snapshot')
  @SuccessResponse('201', 'Created')
  async create(@Body() body?: CreateSnapshotRequest): Promise<Snapshot> {
    const snapshot = await this.#services.snapshots.create(body ?? {})
    this.setStatus(201)
    return snapshot
  }

  /**
   * Protect a snapshot, or let it go; change its message. A member changes those that it took.
   *
   * @summary Change a snapshot
   */
  @Patch('snapshot/{id}')
  async update(@Path() id: string, @Body() body: UpdateSnapshotRequest): Promise<Snapshot> {
    return this.#services.snapshots.update(id, body)
  }

  /**
   * Delete a snapshot. Refused, with their names, while clones stand on it, and where it is protected. A member deletes those that it took.
   *
   * @summary Delete a snapshot
   */
  @Delete('snapshot/{id}')
  @SuccessResponse('204', 'Deleted')
  async delete(@Path() id: string): Promise<void> {
    await this.#services.snapshots.delete(id)
  }
}
