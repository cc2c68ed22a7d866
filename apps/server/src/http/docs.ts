import { type Express, type Request, Router } from 'express'
import swaggerUi, { type JsonObject } from 'swagger-ui-express'
import { conditional } from './conditional.ts'

/** Serves the OpenAPI document, and Swagger UI to try it with. */
export function serveDocs(app: Express, openApi: JsonObject): void {
  app.get('/openapi.json', conditional, (_request, response) => void response.json(openApi))
  app.get('/', (_request, response) => response.redirect('/docs/'))
  // The page asks for its parts beside itself, so its own address needs the slash.
  app.get('/docs', (request, response, next) => (request.path.endsWith('/') ? next() : response.redirect('/docs/')))
  app.get('/docs', swaggerUi.setup(openApi))
  const parts = Router()
  parts.use((request, _response, next) => next(isPart(request) ? undefined : 'router'), ...swaggerUi.serve)
  app.use('/docs', parts)
}

/** What swagger-ui-express would answer in its own way, whatever the method, is left to those who come after. */
function isPart({ method, path }: Request): boolean {
  return (method === 'GET' || method === 'HEAD') && !path.endsWith('/package.json')
}
