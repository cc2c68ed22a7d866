import type { JsonObject } from 'swagger-ui-express'

/** `/clone/{id}` takes one segment, which is captured, and a slash at the end, as Express does. */
export function pathPattern(template: string): RegExp {
  return new RegExp(`^${template.replace(/\{[^}]+\}/g, '([^/]+)')}/?$`)
}

/** From the OpenAPI document: which methods a path has. Empty for a path that there is not. */
export function methodsOfPaths(openApi: JsonObject): (path: string) => string[] {
  const documented = Object.entries((openApi.paths ?? {}) as Record<string, Record<string, unknown>>).map(
    ([template, operations]) => ({
      pattern: pathPattern(template),
      methods: Object.keys(operations).map((method) => method.toUpperCase()),
    }),
  )
  const served = ['/openapi.json', '/docs'].map((path) => ({ pattern: pathPattern(path), methods: ['GET'] }))
  return (path) => {
    const methods = [...documented, ...served]
      .filter(({ pattern }) => pattern.test(path))
      .flatMap(({ methods }) => methods)
    // What Express answers of its own accord.
    return methods.flatMap((method) => (method === 'GET' ? ['GET', 'HEAD'] : [method]))
  }
}
