import type { Request, RequestHandler } from 'express'
import { LabError } from '../errors.ts'

/** Whoever comes over a connection that is still open once the server is asked to stop is told to come back. */
export const refuseWhenStopping: RequestHandler = (request, response, next) => {
  if (!stoppingOf(request).aborted) {
    next()
    return
  }
  response.setHeader('Connection', 'close')
  next(new LabError('SHUTTING_DOWN', 'the server is stopping', { retryAfterSeconds: 5 }))
}

/** Aborted when the client hangs up before it has its answer, or the server is asked to stop: then nobody waits on its behalf. */
export function endOfWaiting(request: Request): AbortSignal {
  const gone = new AbortController()
  request.res?.once('close', () => gone.abort())
  return AbortSignal.any([gone.signal, stoppingOf(request)])
}

function stoppingOf(request: Request): AbortSignal {
  return request.app.locals.stopping as AbortSignal
}
