import { type Request, Router } from 'express'
import swaggerUi, { type JsonObject } from 'swagger-ui-express'

/** The OpenAPI document, and Swagger UI to try it with. */
export function docs(openApi: JsonObject): Router {
  const router = Router()
  router.get('/openapi.json', (_request, response) => void response.json(openApi))
  router.get('/', (_request, response) => response.redirect('/docs/'))
  // The page asks for its parts beside itself, so its own address needs the slash.
  router.get('/docs', (request, response, next) => (request.path.endsWith('/') ? next() : response.redirect('/docs/')))
  router.get('/docs', swaggerUi.setup(openApi, { swaggerOptions: { persistAuthorization: true } }))
  router.use('/docs', (request, _response, next) => next(isPart(request) ? undefined : 'router'), ...swaggerUi.serve)
  return router
}

/** What swagger-ui-express would answer in its own way, whatever the method, is left to those who come after. */
function isPart({ method, path }: Request): boolean {
  return (method === 'GET' || method === 'HEAD') && !path.endsWith('/package.json')
}
