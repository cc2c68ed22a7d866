import type { Request, RequestHandler } from 'express'
import { LabError } from '../errors.ts'

/** Whoever comes over a connection that is still open once the server is asked to stop is told to come back. */
export function refuseWhenStopping(stopping: AbortSignal): RequestHandler {
  return (request, response, next) => {
    request.app.locals.stopping = stopping
    if (!stopping.aborted) {
      next()
      return
    }
    response.setHeader('Connection', 'close')
    next(new LabError('SHUTTING_DOWN', 'the server is stopping', { retryAfterSeconds: 5 }))
  }
}

/** Aborted when the client hangs up before it has its answer, or the server is asked to stop: then nobody waits on its behalf. */
export function giveUp(request: Request): AbortSignal {
  const controller = new AbortController()
  request.res?.once('close', () => controller.abort())
  return AbortSignal.any([controller.signal, request.app.locals.stopping as AbortSignal])
}
