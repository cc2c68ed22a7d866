import { isUtf8 } from 'node:buffer'
import express, { type RequestHandler } from 'express'
import { LabError } from '../errors.ts'
import { actOf } from './access.ts'

/** Reads the body of a request that was let through. Those of others stay unread: who has no token is to cost no more than a look. */
export function readBody(limit: number): RequestHandler {
  const router = express.Router()
  router.use((request, _response, next) => next(actOf(request) ? undefined : 'router'))
  router.use(requireKnownBody(limit))
  router.use(express.json({ limit, type: 'application/json', verify: requireUtf8, reviver: requireSound }))
  return router
}

/** Says no before anything is read, where the headers say enough. */
function requireKnownBody(limit: number): RequestHandler {
  return (request, _response, next) => {
    const length = Number(request.headers['content-length'] ?? 0)
    const hasBody = request.headers['transfer-encoding'] !== undefined || length > 0
    // The parser would ignore a body of another kind, and the request be taken for an empty one.
    if (hasBody && !request.is('application/json')) {
      next(new LabError('UNSUPPORTED_MEDIA_TYPE', 'the body is not application/json'))
      return
    }
    // The parser would read it to its end before it refuses it.
    next(length > limit ? new LabError('BODY_TOO_LARGE', `the body may have ${limit} bytes`) : undefined)
  }
}

/** Decoded, a stray byte would become another character without a word, in a password too. */
function requireUtf8(_request: unknown, _response: unknown, body: Buffer, charset: string): void {
  if (charset === 'utf-8' && !isUtf8(body)) throw new LabError('INVALID_JSON', 'the body is not valid UTF-8')
}

/** What no request is to hold anywhere; the parser reports it as bad JSON. Half a surrogate pair has no UTF-8, so nobody could keep it. */
function requireSound(key: string, value: unknown): unknown {
  if (!key.isWellFormed() || (typeof value === 'string' && !value.isWellFormed()))
    throw new SyntaxError('half a surrogate pair')
  // An object that can't be made a text is a defect to whoever makes one of it, as the generated checks do of what should be a word.
  if (NAMES_OF_CONVERSIONS.includes(key)) throw new SyntaxError('a key that no field has')
  return value
}

/** By which JavaScript makes a text or a number of an object (ECMA-262, OrdinaryToPrimitive). */
const NAMES_OF_CONVERSIONS: readonly string[] = ['toString', 'valueOf']
