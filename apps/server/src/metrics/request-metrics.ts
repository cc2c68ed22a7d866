import { Histogram, type Registry } from '@prometheus-io/client'
import type { Request, RequestHandler, Response } from 'express'
import { REQUEST_SECONDS } from './buckets.ts'

/** Anything else that Node's parser takes for a method is one to us. */
const METHODS: ReadonlySet<string> = new Set(['GET', 'HEAD', 'POST', 'PATCH', 'DELETE', 'OPTIONS'])

/** What requests took. What senders choose themselves is never a label: each value would be a series that is kept for ever. */
export class RequestMetrics {
  readonly #seconds: Histogram<'method' | 'path' | 'status'>

  constructor(registry: Registry) {
    this.#seconds = new Histogram({
      name: 'dblab_http_request_seconds',
      help: 'HTTP requests, until their answer was sent; of GET /events, until the stream ended',
      labelNames: ['method', 'path', 'status'],
      buckets: REQUEST_SECONDS,
      registers: [registry],
    })
  }

  readonly measure: RequestHandler = (request, response, next) => {
    const begun = performance.now()
    response.once('close', () => {
      const method = METHODS.has(request.method) ? request.method : 'other'
      const labels = { method, path: pathOf(request, response), status: statusOf(response) }
      this.#seconds.observe(labels, (performance.now() - begun) / 1000)
    })
    next()
  }
}

/** As the document writes it, `/clone/{id}`, or as a route of our own that is not in it, `/docs`. */
function pathOf({ route }: Request, response: Response): string {
  const template: unknown = response.locals.template ?? route?.path
  return typeof template === 'string' ? template : 'other'
}

/** `none`: its sender hung up before there was an answer. */
function statusOf({ headersSent, statusCode }: Response): string {
  return headersSent ? `${Math.floor(statusCode / 100)}xx` : 'none'
}
