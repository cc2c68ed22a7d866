import { Router } from 'express'
import swaggerUi, { type JsonObject } from 'swagger-ui-express'

/** The document, and Swagger UI to try it with. */
export function docs(openApi: JsonObject): Router {
  const router = Router()
  router.get('/openapi.json', (_request, response) => void response.json(openApi))
  router.get('/', (_request, response) => response.redirect('/docs/'))
  // Its page asks for its parts beside itself, so it has to have the slash.
  router.get('/docs', (request, response, next) => (request.path.endsWith('/') ? next() : response.redirect('/docs/')))
  router.get('/docs', swaggerUi.setup(openApi, { swaggerOptions: { persistAuthorization: true } }))
  router.get('/docs/*part', ...swaggerUi.serve)
  return router
}
