import type { JsonObject } from 'swagger-ui-express'
import { pathPattern } from './paths.ts'

/** An operation of the API, as a request asks for it. */
export interface Operation {
  /** Its id in the document. */
  id: string
  /** Its path there, such as `/clone/{id}`. */
  template: string
  /** True where it takes a token. */
  secured: boolean
  /** True where it may change something. */
  changes: boolean
  /** What its path begins with, such as `clone`. */
  noun: string
  /** What the path names, such as a clone's id. */
  target: string | undefined
}

type Documented = Record<string, { operationId: string; security?: unknown[] }>

/** As Express decodes it for whoever answers. Undefined where it can't be, which it refuses. */
function decoded(segment: string | undefined): string | undefined {
  try {
    return segment && decodeURIComponent(segment)
  } catch (error) {
    if (error instanceof URIError) return undefined
    throw error
  }
}

/** From the OpenAPI document: which operation a request is for. Undefined for a path or a method that there is not. */
export function operationFinder(openApi: JsonObject): (method: string, path: string) => Operation | undefined {
  const paths = Object.entries((openApi.paths ?? {}) as Record<string, Documented>).map(([template, operations]) => ({
    pattern: pathPattern(template),
    template,
    noun: template.split('/')[1] ?? '',
    operations,
  }))
  return (method, path) => {
    for (const { pattern, template, noun, operations } of paths) {
      const match = pattern.exec(path)
      // Express answers HEAD with what answers GET.
      const found = match && operations[method === 'HEAD' ? 'get' : method.toLowerCase()]
      if (!found) continue
      const changes = method !== 'GET' && method !== 'HEAD'
      return {
        id: found.operationId,
        template,
        secured: (found.security ?? []).length > 0,
        changes,
        noun,
        target: decoded(match[1]),
      }
    }
    return undefined
  }
}
