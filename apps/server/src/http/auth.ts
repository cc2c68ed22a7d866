import type { Request } from 'express'
import type { Caller } from '../access/caller.ts'
import { LabError } from '../errors.ts'
import { actOf } from './access.ts'

/**
 * Called by the generated routes for each `@Security`. Who sends the request was found out before its body was read (access.ts); what
 * got here without that is refused.
 *
 * @throws LabError UNAUTHORIZED
 */
export async function expressAuthentication(
  request: Request,
  _securityName: string,
  _scopes?: string[],
): Promise<Caller> {
  const caller = actOf(request)?.caller
  if (!caller) throw new LabError('UNAUTHORIZED', 'the request has no token')
  return caller
}
