import type { Request } from 'express'

/** Aborted when the client hangs up before it has its answer, so that nobody waits on its behalf. */
export function clientGone(request: Request): AbortSignal {
  const controller = new AbortController()
  request.res?.once('close', () => controller.abort())
  return controller.signal
}
