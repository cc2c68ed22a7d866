import { randomUUID } from 'node:crypto'
import express, { type Express, type Request, type RequestHandler } from 'express'
import helmet from 'helmet'
import type { JsonObject } from 'swagger-ui-express'
import { LabError } from '../errors.ts'
import { RegisterRoutes } from '../generated/routes.ts'
import type { Logger } from '../log.ts'
import type { Services } from '../services.ts'
import { requireAccess } from './access.ts'
import { readBody } from './body.ts'
import { serveDocs } from './docs.ts'
import { errorHandler, unknownPath } from './errors.ts'
import { methodsOfPaths } from './paths.ts'
import { refuseUnknownQuery } from './query.ts'
import { refuseWhenStopping } from './stopping.ts'

export interface AppOptions {
  services: Services
  log: Logger
  /** The generated document. */
  openApi: JsonObject
  /** Largest body, in bytes. */
  bodyLimit: number
  /** True where clients come over TLS: then browsers are told to insist on it. */
  tls: boolean
  /** Addresses of proxies whose `X-Forwarded-For` is believed. */
  trustedProxies?: readonly string[]
  /** Aborted when the server is asked to stop: then nothing new begins, and nobody is made to wait. */
  stopping?: AbortSignal
}

/** The whole HTTP side, without a port. */
export function createApp({
  services,
  log,
  openApi,
  bodyLimit,
  tls,
  stopping,
  trustedProxies = [],
}: AppOptions): Express {
  const app = express()
  app.locals.services = services
  app.locals.stopping = stopping ?? new AbortController().signal
  app.disable('x-powered-by')
  // Where one is of use, `conditional` gives it.
  app.disable('etag')
  app.set('query parser', 'simple')
  // One path, one name: what looks at paths before the routes do must see the same as they.
  app.enable('case sensitive routing')
  app.set('trust proxy', [...trustedProxies])
  app.use(requestLog(log), services.metrics.requests.measure)
  // Without TLS, `upgrade-insecure-requests` would send Swagger UI's own calls to a port that does not speak it.
  const upgradeInsecureRequests = tls ? [] : null
  app.use(helmet({ strictTransportSecurity: tls, contentSecurityPolicy: { directives: { upgradeInsecureRequests } } }))
  app.use(requireHost)
  serveDocs(app, openApi)
  app.use(requireAccess(services, openApi))
  // After the bodies: one that is slow may come whole only when the server was told to stop.
  app.use(readBody(bodyLimit), refuseWhenStopping)
  app.use(refuseUnknownQuery(openApi))
  RegisterRoutes(app)
  app.use(unknownPath(methodsOfPaths(openApi)))
  app.use(errorHandler(log))
  return app
}

/** Gives each request an id, and writes one line about it when it has ended. Never headers, bodies or queries: they hold secrets. */
function requestLog(log: Logger): RequestHandler {
  return (request, response, next) => {
    const started = performance.now()
    const requestId = randomUUID()
    response.locals.requestId = requestId
    response.setHeader('X-Request-Id', requestId)
    response.setHeader('Cache-Control', 'no-store')
    response.once('close', () => {
      const clone =
        isKnown(request, response.statusCode) && /^\/clone\/([a-z0-9-]{1,63})(?:\/|$)/.exec(request.path)?.[1]
      log.debug('request', {
        requestId,
        method: request.method,
        path: request.route?.path ?? '(unknown)',
        ...(clone && { clone }),
        status: response.statusCode,
        ms: Math.round(performance.now() - started),
      })
    })
    next()
  }
}

/** Of a clone that there is. Anything else in its place may be a password that somebody pasted there. */
function isKnown({ route }: Request, status: number): boolean {
  return route !== undefined && (status < 400 || status === 409)
}

/** RFC 9112, 3.2: a request that names no host is refused. */
const requireHost: RequestHandler = ({ httpVersion, headers }, _response, next) => {
  const named = httpVersion !== '1.1' || headers.host !== undefined
  next(named ? undefined : new LabError('INVALID_REQUEST', 'the request names no host'))
}
