import type { CreatedToken, CreateTokenRequest, Error, Token } from '@dblab/models'
import {
  Body,
  Controller,
  Delete,
  Get,
  Path,
  Post,
  Response,
  Route,
  Security,
  SuccessResponse,
  Tags,
} from '@tsoa/runtime'
import type { CallerServices } from '../access/caller-services.ts'

@Route()
@Tags('Access')
@Security('bearer')
@Security('verificationToken')
@Response<Error>(401, 'No token, or one that is not taken')
@Response<Error>(403, "The token's role may not do this")
@Response<Error>(429, 'Too many tokens that are not taken came from this address')
@Response<Error>('default', 'Any failure')
export class TokenController extends Controller {
  readonly #services: CallerServices

  constructor(services: CallerServices) {
    super()
    this.#services = services
  }

  /**
   * List the tokens, oldest first, without their secrets. The lab's first token is not among them. For admins.
   *
   * @summary List the tokens
   */
  @Get('tokens')
  async list(): Promise<Token[]> {
    return this.#services.tokens.list()
  }

  /**
   * Make a token. The answer has its secret, which can't be asked for again. For admins.
   *
   * @summary Make a token
   */
  @Post('token')
  @SuccessResponse('201', 'Created')
  async create(@Body() body: CreateTokenRequest): Promise<CreatedToken> {
    const token = this.#services.tokens.create(body)
    this.setStatus(201)
    return token
  }

  /**
   * Revoke a token: refused from now on. The clones that were made with it stay, for admins to look after. For admins.
   *
   * @summary Revoke a token
   */
  @Delete('token/{id}')
  @SuccessResponse('204', 'Revoked')
  async delete(@Path() id: string): Promise<void> {
    this.#services.tokens.revoke(id)
  }
}
