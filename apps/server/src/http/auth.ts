import { createHash, timingSafeEqual } from 'node:crypto'
import type { Request } from 'express'
import { LabError } from '../errors.ts'
import { servicesOf } from '../services.ts'

/**
 * Called by the generated routes for each `@Security`. The same token is taken in either header.
 *
 * @throws LabError UNAUTHORIZED
 */
export async function expressAuthentication(
  request: Request,
  _securityName: string,
  _scopes?: string[],
): Promise<void> {
  const given = tokenOf(request)
  if (given === undefined || !equal(given, servicesOf(request).token)) {
    throw new LabError(
      'UNAUTHORIZED',
      given === undefined ? 'the request has no token' : 'the token is not the one of this lab',
    )
  }
}

function tokenOf(request: Request): string | undefined {
  const bearer = /^Bearer +(\S+) *$/i.exec(request.headers.authorization ?? '')?.[1]
  return bearer ?? request.get('Verification-Token')
}

/** In a time that says nothing of where they differ, nor of the length: hashes are compared. */
function equal(a: string, b: string): boolean {
  const hash = (text: string) => createHash('sha256').update(text).digest()
  return timingSafeEqual(hash(a), hash(b))
}
