import { readFileSync, writeFileSync } from 'node:fs'
import { z } from 'zod'
import { configSchema } from '../src/config/schema.ts'
import { errorTable } from '../src/http/errors.ts'

interface Property {
  type?: string | string[]
  enum?: unknown[]
  anyOf?: Property[]
  default?: unknown
  description?: string
  properties?: Record<string, Property>
  oneOf?: Property[]
  items?: Property
  const?: unknown
}

/** A row for each key, from the schema that checks it. */
function rows(properties: Record<string, Property>, prefix = ''): string[] {
  return Object.entries(properties).flatMap(([key, property]) => {
    const name = `${prefix}${key}`
    if (property.properties) return rows(property.properties, `${name}.`)
    if (property.items?.oneOf)
      return [row(name, property), ...property.items.oneOf.flatMap((kind) => kindRows(name, kind))]
    return [row(name, property)]
  })
}

/** Of a list whose entries are of several kinds. */
function kindRows(list: string, { properties = {} }: Property): string[] {
  const { kind, ...others } = properties
  const name = `${list}[]`
  return [row(`${name}.kind: ${String(kind?.const)}`, { ...kind, type: 'kind' }), ...rows(others, `${name}.`)]
}

function row(name: string, property: Property): string {
  const fallback = property.default === undefined ? '' : `\`${JSON.stringify(property.default)}\``
  return `| \`${name}\` | ${typeOf(property)} | ${fallback} | ${(property.description ?? '').replaceAll('|', '\\|')} |`
}

function typeOf({ type, enum: choices, anyOf }: Property): string {
  if (choices) return choices.map((choice) => `\`${String(choice)}\``).join(', ')
  if (anyOf) return anyOf.map(typeOf).join(' or ')
  return [type ?? 'any'].flat().join(' or ')
}

function configuration(): string {
  const { properties = {} } = z.toJSONSchema(configSchema, { io: 'input' }) as Property
  return ['| key | type | default | |', '| --- | --- | --- | --- |', ...rows(properties)].join('\n')
}

function errors(): string {
  const lines = Object.entries(errorTable).map(
    ([code, { status, hint }]) => `| \`${code}\` | ${status} | ${hint.replaceAll('|', '\\|')} |`,
  )
  return ['| code | status | what helps |', '| --- | --- | --- |', ...lines].join('\n')
}

/** Between its two marks, the README has what this says. */
function put(readme: string, name: string, text: string): string {
  const [begin, end] = [`<!-- generated: ${name} -->`, `<!-- end of ${name} -->`]
  const [before, rest] = readme.split(begin)
  const [, after] = (rest ?? '').split(end)
  if (before === undefined || after === undefined) throw new Error(`README.md lacks the marks of ${name}`)
  return `${before}${begin}\n${text}\n${end}${after}`
}

const file = new URL('../../../README.md', import.meta.url)
const before = readFileSync(file, 'utf8')
const after = put(put(before, 'configuration', configuration()), 'errors', errors())
if (after !== before) writeFileSync(file, after)
