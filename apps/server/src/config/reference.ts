import { writeFileSync } from 'node:fs'
import { z } from 'zod'
import { configSchema } from './schema.ts'

interface Property {
  type?: string | string[]
  enum?: unknown[]
  anyOf?: Property[]
  default?: unknown
  description?: string
  properties?: Record<string, Property>
}

/** A row for each key, from the schema that checks it. */
function rows(properties: Record<string, Property>, prefix = ''): string[] {
  return Object.entries(properties).flatMap(([key, property]) => {
    const name = `${prefix}${key}`
    if (property.properties) return rows(property.properties, `${name}.`)
    const fallback = property.default === undefined ? '' : `\`${JSON.stringify(property.default)}\``
    return [`| \`${name}\` | ${typeOf(property)} | ${fallback} | ${(property.description ?? '').replaceAll('|', '\\|')} |`]
  })
}

function typeOf({ type, enum: choices, anyOf }: Property): string {
  if (choices) return choices.map((choice) => `\`${String(choice)}\``).join(', ')
  if (anyOf) return anyOf.map(typeOf).join(' or ')
  return [type ?? 'any'].flat().join(' or ')
}

/** docs/configuration.md */
export function configurationReference(): string {
  const { properties = {} } = z.toJSONSchema(configSchema, { io: 'input' }) as Property
  return `# Configuration

Generated from the schema that checks the configuration at the start; \`pnpm generate\` makes it anew.

One YAML file: the one that \`DBLAB_CONFIG\` names, else \`dblab.yaml\` in the working directory, if it is there. The environment stands over
it: \`DBLAB_HOST\`, \`DBLAB_PORT\`, \`DBLAB_DATA_DIR\`, \`DBLAB_LOG_LEVEL\`. The token comes from \`DBLAB_TOKEN\` alone (16 characters or more);
without it the first start makes one and keeps it in the file \`token\` of the data directory.

| key | type | default | |
| --- | --- | --- | --- |
${rows(properties).join('\n')}
`
}

if (import.meta.main) writeFileSync(new URL('../../../../docs/configuration.md', import.meta.url), configurationReference())
