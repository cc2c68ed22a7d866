import { readFileSync } from 'node:fs'
import type { JsonObject } from 'swagger-ui-express'

function readJson(name: string): JsonObject {
  // The same from src/ and from dist/.
  return JSON.parse(readFileSync(new URL(`../${name}`, import.meta.url), 'utf8')) as JsonObject
}

/** Of the server. */
export const version = String(readJson('package.json').version)

/** The generated document that Swagger UI, the SDK and the routes are made of. */
export const openApi = readJson('openapi.json')
