import type { RequestHandler } from 'express'
import type { JsonObject } from 'swagger-ui-express'
import { LabError } from '../errors.ts'
import { pathPattern } from './paths.ts'

type Operations = Record<string, { parameters?: { in: string; name: string }[] }>

/**
 * Refuses query parameters that the document does not know: a filter that is misspelt would otherwise answer with everything, and a script
 * that deletes what it lists would delete everything.
 */
export function refuseUnknownQuery(openApi: JsonObject): RequestHandler {
  const paths = Object.entries((openApi.paths ?? {}) as Record<string, Operations>).map(([template, operations]) => ({
    pattern: pathPattern(template),
    operations,
  }))
  return ({ path, method, query }, _response, next) => {
    const operation = paths.find(({ pattern }) => pattern.test(path))?.operations[method.toLowerCase()]
    const known = (operation?.parameters ?? []).filter((parameter) => parameter.in === 'query').map(({ name }) => name)
    if (!operation || Object.keys(query).every((name) => known.includes(name))) {
      next()
      return
    }
    const takes = known.length > 0 ? `this path takes ${known.join(', ')}` : 'this path takes none'
    next(new LabError('INVALID_REQUEST', `the query has a parameter that there is not: ${takes}`))
  }
}
