import { Ajv, type ValidateFunction } from 'ajv'
import addFormats from 'ajv-formats'
import { expect } from 'vitest'

export const EVENT_STREAM = 'text/event-stream'
export const PLAIN_TEXT = 'text/plain'

interface Operation {
  operationId: string
  responses: Record<string, { content?: Record<string, unknown> }>
}

interface OpenApi {
  paths: Record<string, Record<string, Operation>>
  components: {
    schemas: Record<string, { enum?: string[]; additionalProperties?: unknown; properties?: Record<string, unknown> }>
    securitySchemes: Record<string, unknown>
  }
}

/** The OpenAPI document as the running server gives it, to hold its answers against. */
export class Document {
  readonly openApi: OpenApi
  readonly #ajv = new Ajv({ strict: false, allErrors: true })
  readonly #compiled = new Map<string, ValidateFunction>()

  constructor(openApi: OpenApi) {
    this.openApi = openApi
    addFormats.default(this.#ajv)
    this.#ajv.addSchema(openApi, 'lab')
  }

  /** Every code that an error can have. */
  get errorCodes(): string[] {
    return this.openApi.components.schemas.ErrorCode?.enum ?? []
  }

  /** Fails for a status, a field or a type that the operation's entry does not have. */
  expectDescribed(method: string, path: string, status: number, text: string): void {
    const key = method.toLowerCase()
    const template = this.#template(path)
    const responses = template === undefined ? undefined : this.openApi.paths[template]?.[key]?.responses
    if (!responses) {
      // Not an operation: only an error can be the answer, and all of them have one form.
      this.#expectValid('#/components/schemas/Error', text, `${method} ${path}`)
      return
    }
    const name = responses[status] ? String(status) : 'default'
    if (name === 'default')
      expect(status, `${method} ${path} answered a status that is not documented`).toBeGreaterThan(399)
    if (!responses[name]?.content) {
      expect(text, 'an answer without a body').toBe('')
      return
    }
    const [media = ''] = Object.keys(responses[name].content)
    const at = ['paths', template ?? '', key, 'responses', name, 'content', media, 'schema']
    const schema = `#/${at.map(pointer).join('/')}`
    const parts = media === EVENT_STREAM ? dataOf(text) : [media === PLAIN_TEXT ? JSON.stringify(text) : text]
    expect(parts, `${method} ${path} had nothing to say`).not.toEqual([])
    for (const part of parts) this.#expectValid(schema, part, `${method} ${path}`)
  }

  #template(path: string): string | undefined {
    const { pathname } = new URL(path, 'http://lab')
    return Object.keys(this.openApi.paths).find((template) =>
      new RegExp(`^${template.replace(/\{\w+\}/g, '[^/]+')}/?$`).test(pathname),
    )
  }

  #expectValid(schema: string, text: string, what: string): void {
    const validate = this.#compiled.get(schema) ?? this.#ajv.compile({ $ref: `lab${schema}` })
    this.#compiled.set(schema, validate)
    validate(JSON.parse(text))
    expect(validate.errors ?? [], `${what} differs from the document`).toEqual([])
  }
}

/** The data of each event of a stream. */
function dataOf(text: string): string[] {
  return [...text.matchAll(/^data: (.*)$/gm)].map(([, data]) => data ?? '')
}

/** https://datatracker.ietf.org/doc/html/rfc6901#section-6, in a URI's fragment. */
function pointer(part: string): string {
  return encodeURIComponent(part.replaceAll('~', '~0').replaceAll('/', '~1'))
}
