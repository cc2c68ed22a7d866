/** As much of an OpenAPI document as requests are made from. */
export interface Schema {
  $ref?: string
  type?: string
  pattern?: string
  maxLength?: number
  enum?: string[]
  properties?: Record<string, Schema>
  required?: string[]
  example?: unknown
}

interface Parameter {
  in: string
  name: string
}

export interface OpenApi {
  paths: Record<
    string,
    Record<
      string,
      { parameters?: Parameter[]; requestBody?: { content: Record<string, { schema: Schema }> } } | undefined
    >
  >
  components: { schemas: Record<string, Schema> }
}

/** One operation, with what a client may put where. */
export interface Operation {
  method: string
  template: string
  query: string[]
  headers: string[]
  /** The names of the body's fields, from its top: `['db', 'password']`. Undefined for an operation without a body. */
  fields: string[][] | undefined
}

export function operationsOf(document: OpenApi): Operation[] {
  return Object.entries(document.paths).flatMap(([template, operations]) =>
    Object.entries(operations).map(([method, operation]) => {
      const named = (place: string) =>
        (operation?.parameters ?? []).filter((parameter) => parameter.in === place).map(({ name }) => name)
      const schema = operation?.requestBody?.content['application/json']?.schema
      return {
        method: method.toUpperCase(),
        template,
        query: named('query'),
        headers: named('header'),
        fields: schema && fieldsOf(schema, document),
      }
    }),
  )
}

function fieldsOf(schema: Schema, document: OpenApi): string[][] {
  const found = schema.$ref ? document.components.schemas[schema.$ref.split('/').at(-1) ?? ''] : schema
  return Object.entries(found?.properties ?? {}).flatMap(([name, property]) => [
    [name],
    ...fieldsOf(property, document).map((path) => [name, ...path]),
  ])
}
