import { randomUUID } from 'node:crypto'
import type { JsonObject } from 'swagger-ui-express'
import express, { type Express, type RequestHandler } from 'express'
import helmet from 'helmet'
import swaggerUi from 'swagger-ui-express'
import { LabError } from '../errors.ts'
import { RegisterRoutes } from '../generated/routes.ts'
import type { Logger } from '../log.ts'
import type { Services } from '../services.ts'
import { errorHandler, unknownPath } from './errors.ts'
import { methodsOfPaths } from './paths.ts'

export interface AppOptions {
  services: Services
  log: Logger
  /** The generated document. */
  openApi: JsonObject
  /** Largest body, in bytes. */
  bodyLimit: number
  /** True where clients come over TLS: then browsers are told to insist on it. */
  tls: boolean
}

/** The whole HTTP side, without a port. */
export function createApp({ services, log, openApi, bodyLimit, tls }: AppOptions): Express {
  const app = express()
  app.locals.services = services
  app.disable('x-powered-by')
  app.set('query parser', 'simple')
  app.use(requestLog(log))
  // Without TLS, `upgrade-insecure-requests` would send Swagger UI's own calls to a port that does not speak it.
  const upgradeInsecureRequests = tls ? [] : null
  app.use(helmet({ strictTransportSecurity: tls, contentSecurityPolicy: { directives: { upgradeInsecureRequests } } }))
  app.get('/openapi.json', (_request, response) => void response.json(openApi))
  app.get('/', (_request, response) => response.redirect('/docs'))
  app.use('/docs', swaggerUi.serve, swaggerUi.setup(openApi, { swaggerOptions: { persistAuthorization: true } }))
  app.use(requireJson, express.json({ limit: bodyLimit, type: 'application/json' }))
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
      const clone = /^\/clone\/([a-z0-9-]{1,63})/.exec(request.path)?.[1]
      log.debug('request', {
        requestId,
        method: request.method,
        path: request.route ? request.path : '(unknown)',
        ...(clone && { clone }),
        status: response.statusCode,
        ms: Math.round(performance.now() - started),
      })
    })
    next()
  }
}

/** A body of another kind would be ignored by the parser, and the request taken for an empty one. */
const requireJson: RequestHandler = (request, _response, next) => {
  const hasBody = request.headers['transfer-encoding'] !== undefined || Number(request.headers['content-length'] ?? 0) > 0
  next(hasBody && !request.is('application/json') ? new LabError('UNSUPPORTED_MEDIA_TYPE', 'the body is not application/json') : undefined)
}
